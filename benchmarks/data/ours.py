"""Our side of `make bench-data`, each a command: python -m benchmarks.data.ours NAME FOLDER NUMBER [MORE].

Prints one line of JSON as the peers do. `stages` runs the two data stages as their scripts do, once through
Beam and once through a bare loop over the same functions.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mobilebert import settings
from mobilebert.dataflow.stages import Stage
from mobilebert.storage import artifacts

SEED = 1
LENGTH = 128
MASKED = 1 << 24  # tokens of the batches that are timed
RECORDS = settings.Records(sequence_length=LENGTH, shards=8)


def seconds() -> float:
    """User and system seconds of this process."""
    return time.process_time()


def stages(folder: Path, threads: int, how: str, sources: str) -> dict[str, Any]:
    """Clean, deduplicate and write records: sources, tokenizer -> corpus-*, records-* in the folder; `how`
    is beam or bare.
    """
    from mobilebert.corpus import pipeline
    from mobilebert.dataflow import running
    from mobilebert.records import writer

    imported = seconds()
    if how == "bare":
        running.run = bare  # both stages start their pipeline there
    running.BYTES_WORTH_A_WORKER = 1  # as many as asked for, however small the corpus
    corpus, records = (
        folder / f"{stage}-{Path(sources).name}-{how}-{threads}" for stage in ("corpus", "records")
    )
    pipeline.clean_corpus(Path(sources), corpus, settings.Corpus(), threads)
    cleaned = seconds()
    writer.write(corpus, folder / "tokenizer", records, RECORDS, SEED, threads)
    counts = artifacts.read(records, verify=False).counts
    text = counts["train_bytes"] + counts["heldout_bytes"]
    return {
        "import": imported,
        "clean": cleaned - imported,
        "records": seconds() - cleaned,
        "kept": artifacts.read(corpus, verify=False).counts["bytes"],
        "text": text,
        "bytes": sum(path.stat().st_size for path in records.glob("*.tfrecord")),
        "digests": [artifacts.digest(corpus), artifacts.digest(records)],
    }


def bare(_: str, stages: Iterable[Stage], *__: object) -> None:
    """What `dataflow.running.run` does, without Beam: the same functions in a loop."""
    results: list[Any] = []
    for stage in stages:
        results = [stage.function(number) for number in stage.numbers(results)]


def tokenizer(folder: Path, _: int, slice_: str) -> dict[str, Any]:
    """Ids, offsets and word starts of the texts, in blocks of the pipeline's size; the words are cut
    before.
    """
    from mobilebert import tokenization
    from mobilebert.records import chunking, record_format
    from mobilebert.records.pipeline import BYTES_AT_ONCE
    from mobilebert.text import words

    made = tokenization.load(folder / "tokenizer")
    stored = record_format.RecordFormat(LENGTH, made.size)
    texts = _texts(Path(slice_))
    made.encode_many(texts[:10])
    blocks = list(_blocks(texts, BYTES_AT_ONCE))
    cut = words.cutter("")
    cuts = [iter([cut(chunk) for chunk in words.chunks("\n".join(block))]) for block in blocks]

    def work() -> int:
        each = zip(blocks, cuts, strict=True)
        return sum(
            len(chunking.tokenize(block, made, stored, lambda _, cut_words=cut_words: next(cut_words)).values)
            for block, cut_words in each
        )

    cpu, count = _timed(work)
    return {"cpu": cpu, "tokens": count}


def minhash(folder: Path, _: int, slice_: str) -> dict[str, Any]:
    """Signatures of 112 values, and their band keys, in blocks of the pipeline's size."""
    from mobilebert.corpus.dedup import minhash

    minhash.band_keys(["先把表做好。"])
    blocks = list(_blocks(_texts(Path(slice_)), int(settings.Corpus().block_megabytes * 1e6)))
    cpu, count = _timed(lambda: sum(len(minhash.band_keys(block)[1]) for block in blocks))
    return {"cpu": cpu, "values": count}


def masking(folder: Path, length: int, how: str, size: str) -> dict[str, Any]:
    """Training batches: by the dataset that training reads, several steps a call as it does, or by the
    plain NumPy function under it.
    """
    from mobilebert.records import dataset

    records = dataset.RecordSet(folder / f"masked-{length}")
    options = settings.Masking(max_predictions=20 if length == LENGTH else 77)
    batch, at_once = int(size), 8
    steps = MASKED // (batch * length * at_once) * at_once
    if how == "numpy":
        records.train_batches(options, batch, SEED, 0, at_once)
        cpu, _ = _timed(
            lambda: [
                records.train_batches(options, batch, SEED, step, at_once)
                for step in range(0, steps, at_once)
            ]
        )
        return {"cpu": cpu, "sequences": steps * batch}
    import tensorflow as tf

    from mobilebert.records import reader

    batches = iter(reader.train_batches(records, options, batch, SEED, 0))

    @tf.function
    def several(count: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0)
        for _ in tf.range(count):
            total += tf.shape(next(batches)["input_ids"])[0]
        return total

    assert int(several(tf.constant(at_once))) == at_once * batch
    cpu, _ = _timed(lambda: [several(tf.constant(at_once)).numpy() for _ in range(steps // at_once)])
    return {"cpu": cpu, "sequences": steps * batch}


def filters(folder: Path, _: int, sources: str) -> dict[str, Any]:
    """What datatrove's chain does: read, clean and judge, find and drop duplicates, write; no records."""
    from mobilebert.corpus import pipeline

    imported = seconds()
    pipeline.clean_corpus(Path(sources), folder / "corpus-filters", settings.Corpus(), 1)
    return {"cpu": seconds() - imported}


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]


def _blocks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    block: list[str] = []
    size_now = 0
    for text in texts:
        block.append(text)
        size_now += 3 * len(text)
        if size_now >= size:
            yield block
            block, size_now = [], 0
    if block:
        yield block


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = seconds()
    result = function()
    return seconds() - start, result


OURS = {made.__name__: made for made in (stages, tokenizer, minhash, masking, filters)}

if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.disable(logging.WARNING)
    print(json.dumps(OURS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])))
    sys.stdout.flush()
    os._exit(0)  # as the scripts do: an input pipeline of TensorFlow may still run
