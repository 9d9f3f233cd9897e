"""The records artifact as static classic BERT records, for other people's programs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mobilebert.records.bert_format import classic
from mobilebert.records.dataset import RecordSet, shard_name
from mobilebert.records.masking import Batch
from mobilebert.settings import Masking
from mobilebert.storage import artifacts


def export(source: Path, out: Path, masking: Masking, dupe_factor: int, seed: int) -> dict[str, int]:
    """Write every training record `dupe_factor` times, each time with another mask, and the held-out ones
    once.

    The masks are those of `dupe_factor` epochs of training with this seed. Files are as many as the records
    have.

    Args:
        source: records artifact.
        out: where the artifact (kind `bert_records`) goes.
        masking: strategy, share, most predictions.
        dupe_factor: epochs.
        seed: of order and masks.

    Returns:
        number of records in each split.
    """
    records = RecordSet(source)
    manifest_settings = {
        "masking": masking.model_dump(mode="json"),
        "records.dupe_factor": dupe_factor,
        "seed": seed,
    }
    with artifacts.writing(
        out, "bert_records", settings=manifest_settings, inputs={"records": source}
    ) as writer:
        total, files = records.train_count * dupe_factor, records.train_files
        edges = [total * number // files for number in range(files + 1)]
        counts = {"train_sequences": 0}
        for number in range(files):
            made = _train(records, masking, seed, edges[number], edges[number + 1])
            counts["train_sequences"] += classic.write(writer.path(shard_name("train", number, files)), made)
        counts["heldout_sequences"] = classic.write(
            writer.path(shard_name("heldout", 0, 1)), _heldout(records, masking, seed)
        )
        writer.counts = counts
    logging.info("wrote %(train_sequences)d training and %(heldout_sequences)d held-out records", counts)
    return counts


def _train(records: RecordSet, masking: Masking, seed: int, first: int, last: int) -> Iterator[Batch]:
    for start in range(first, last, classic.AT_ONCE):
        yield records.train_batches(masking, 1, seed, start, min(classic.AT_ONCE, last - start))


def _heldout(records: RecordSet, masking: Masking, seed: int) -> Iterator[Batch]:
    for step in range(-(-records.heldout_count // classic.AT_ONCE)):
        batch = records.heldout_batch(masking, classic.AT_ONCE, seed, step)
        real = min(classic.AT_ONCE, records.heldout_count - step * classic.AT_ONCE)
        yield {name: values[:real] for name, values in batch.items()}
