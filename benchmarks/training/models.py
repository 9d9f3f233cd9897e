"""Writes what all arms of `make bench-training` read: the two models, the batch, and records for the input
pipeline.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import workload as work


def main() -> None:
    """Write it all into the folder that the command line names."""
    from mobilebert import models
    from mobilebert.models import configs

    folder = Path(sys.argv[1])
    for name, shape, seed in ((work.STUDENT, "base-f4", 1), (work.TEACHER, "bert-base", 2)):
        write_model(folder / name, models.build(configs.named(shape, work.VOCABULARY), seed))
    np.savez(folder / work.ARRAYS, **work.batch())
    write_records(folder / "records")


def write_model(folder: Path, model: Any) -> None:
    """A model directory without a tokenizer."""
    from mobilebert.models.checkpoints import weights
    from mobilebert.storage import artifacts

    with artifacts.writing(folder, "model") as writer:
        weights.save(writer, model)


def write_records(folder: Path) -> None:
    """40,000 full sequences of random ids, two thirds of them starts of words."""
    from mobilebert.records.dataset import shard_name
    from mobilebert.records.record_format import RecordFormat
    from mobilebert.storage import artifacts

    record_format, random, counts = (
        RecordFormat(work.LENGTH, work.VOCABULARY),
        np.random.default_rng(3),
        {"train": [20000, 20000], "heldout": [8]},
    )
    with artifacts.writing(folder, "records") as writer:
        for split, shards in counts.items():
            for number, count in enumerate(shards):
                rows = random.integers(5, work.VOCABULARY, (count, work.LENGTH))
                rows |= record_format.word_start * (random.random(rows.shape) < 0.67)
                rows[:, 0], rows[:, work.LENGTH // 2], rows[:, -1] = 2, 3, 3
                writer.path(shard_name(split, number, len(shards))).write_bytes(
                    record_format.pack(rows.astype(record_format.dtype))
                )
        special = dict(zip(("pad", "unk", "cls", "sep", "mask"), range(5), strict=True))
        body = {
            "sequence_length": work.LENGTH,
            "vocabulary_size": work.VOCABULARY,
            "unigram_accuracy": 0.0,
            "vocabulary": "none",
        }
        writer.path("records.json").write_text(json.dumps(body | counts | special), encoding="utf-8")


if __name__ == "__main__":
    main()
