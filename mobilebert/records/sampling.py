"""Documents of the corpus artefact that a vocabulary is learned from: chosen where the corpus is read, by Beam, block by block."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import apache_beam as beam
import xxhash

from mobilebert.pipelines import running, work
from mobilebert.records import pipeline
from mobilebert.records.pipeline import Block
from mobilebert.settings import Beam
from mobilebert.storage import artifacts
from mobilebert.storage import paths as places

DIRECT = Beam()
CHEAPER = 40  # reading a document and hashing it costs so much less than cleaning it, by which workers are counted


def documents(corpus: Path, megabytes: float, seed: int, out: Path, threads: int = 1, where: Beam = DIRECT) -> list[str]:
    """About `megabytes` (10^6 bytes of UTF-8) of documents, in the corpus's order, chosen by a hash of each text.

    The choice depends on the texts and the seed alone: not on how the corpus is cut into files, nor on workers. Only what is chosen is
    ever held.

    Args:
        corpus: corpus artefact.
        megabytes: how much.
        seed: of the choice.
        out: the artefact in making; the work folder lies beside it.
        threads: worker processes at most.
        where: which runner, and where the work folder lies.

    Raises:
        UserError: no Parquet file, or one that cannot be read or has no column `text`.
    """
    parts = pipeline.blocks(corpus)
    mark = work.fingerprint({"megabytes": megabytes, "seed": seed}, {"corpus": corpus} if artifacts.exists(corpus) else {}, ("xxhash",))
    workers = running.workers(threads, sum(part.size for part in parts) // CHEAPER)
    with running.ready(__name__, where, workers), work.folder(out, where, mark) as folder:
        if not places.is_local(folder):  # workers elsewhere see only what lies there
            parts = pipeline.sent(parts, places.join(folder, "corpus"))
        running.run("sample-corpus", partial(_build, parts=parts, folder=folder, wanted=megabytes * 1e6, seed=seed), where, workers)
        return [text for part in parts for text in json.loads(places.read(_place(folder, part)))]


def _build(stages: beam.Pipeline, parts: list[Block], folder: str, wanted: float, seed: int) -> None:
    blocks = stages | "Blocks" >> beam.Create(parts)
    total = blocks | "CountBytes" >> beam.Map(_bytes) | "AllBytes" >> beam.CombineGlobally(sum)
    _ = blocks | "SampleBlock" >> beam.Map(_sample, beam.pvalue.AsSingleton(total), folder, wanted, seed)


def _bytes(block: Block) -> int:
    return sum(len(text) for texts in pipeline.texts(block) for text in texts)


def _sample(block: Block, total: int, folder: str, wanted: float, seed: int) -> None:
    """Write the chosen documents of a block."""
    share = wanted / max(total, 1)
    chosen = [
        text.decode()
        for texts in pipeline.texts(block)
        for text in texts
        if share >= 1 or xxhash.xxh3_64_intdigest(text, seed) < share * 2**64
    ]
    places.write(_place(folder, block), json.dumps(chosen).encode())


def _place(folder: str, block: Block) -> str:
    return places.join(folder, f"sample-{block.number:06d}.json")
