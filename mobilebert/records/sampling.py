"""Documents of the corpus artifact that a vocabulary is learned from: chosen where the corpus is read, by
Beam, block by block.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import xxhash

from mobilebert.dataflow import running, workdir
from mobilebert.dataflow.stages import Stage
from mobilebert.records import pipeline
from mobilebert.records.pipeline import RowGroupRange
from mobilebert.settings import Beam
from mobilebert.storage import artifacts, paths

DIRECT = Beam()
CHEAPER = (
    40  # reading a document and hashing it costs so much less than cleaning it, by which workers are counted
)


def documents(
    corpus: Path, megabytes: float, seed: int, out: Path, threads: int = 1, where: Beam = DIRECT
) -> list[str]:
    """About `megabytes` (10^6 bytes of UTF-8) of documents, in the corpus's order, chosen by a hash of each
    text.

    The choice depends on the texts and the seed alone: not on how the corpus is cut into files, nor on
    workers. Only what is chosen is ever held.

    Args:
        corpus: corpus artifact.
        megabytes: how much.
        seed: of the choice.
        out: the artifact in making; the work folder lies beside it.
        threads: worker processes at most.
        where: which runner, and where the work folder lies.

    Raises:
        UserError: no Parquet file, or one that cannot be read or has no column `text`.
    """
    blocks = pipeline.blocks(corpus)
    inputs = {"corpus": corpus} if artifacts.exists(corpus) else {}
    mark = workdir.fingerprint({"megabytes": megabytes, "seed": seed}, inputs, ("xxhash",))
    workers = running.count_workers(threads, sum(block.size for block in blocks) // CHEAPER)
    with workdir.folder(out, where, mark) as folder:
        if not paths.is_local(folder):  # workers elsewhere see only what lies there
            blocks = pipeline.sent(blocks, paths.join(folder, "corpus"))
        running.run("sample-corpus", _stages(blocks, folder, megabytes * 1e6, seed), folder, where, workers)
        return [text for block in blocks for text in json.loads(paths.read(_sample_file(folder, block)))]


def _stages(blocks: list[RowGroupRange], folder: str, wanted: float, seed: int) -> list[Stage]:
    total_file = paths.join(folder, "total.json")

    def after_total(sizes: list[int]) -> Iterable[int]:
        paths.write(total_file, json.dumps(sum(sizes)).encode())
        return range(len(blocks))

    def sample(number: int) -> None:
        share = wanted / max(json.loads(paths.read(total_file)), 1)
        chosen = [
            text.decode()
            for texts in pipeline.texts(blocks[number])
            for text in texts
            if share >= 1 or xxhash.xxh3_64_intdigest(text, seed) < share * 2**64
        ]
        paths.write(_sample_file(folder, blocks[number]), json.dumps(chosen).encode())

    return [
        Stage("CountBytes", lambda _: range(len(blocks)), lambda number: _count_bytes(blocks[number])),
        Stage("SampleBlock", after_total, sample),
    ]


def _count_bytes(block: RowGroupRange) -> int:
    return sum(len(text) for texts in pipeline.texts(block) for text in texts)


def _sample_file(folder: str, block: RowGroupRange) -> str:
    return paths.join(folder, f"sample-{block.number:06d}.json")
