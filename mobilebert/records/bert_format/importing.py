"""Classic BERT records of somebody else as a records artifact: their masks are used as they are, their
order is shuffled anew.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mobilebert import tokenization
from mobilebert.corpus.sources import discovery
from mobilebert.corpus.sources.listing import listing
from mobilebert.errors import UserError
from mobilebert.records import dataset, packing, shuffling
from mobilebert.records.bert_format import classic, static
from mobilebert.records.heldout import log_share
from mobilebert.records.masking import Batch
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Records
from mobilebert.storage import artifacts
from mobilebert.tokenization import Tokenizer

SPILLS = ".spills"
ROWS_A_SPILL = 32_768


def write(pattern: str, tokenizer_folder: Path, out: Path, settings: Records, seed: int) -> Counter[str]:
    """Read classic files, check them against the tokenizer, and write the artifact.

    Held out is what a hash of the unmasked ids says, so copies of a sequence with other masks fall on the
    same side; another cut of the same document may still be in training.

    Args:
        pattern: a file, folder or glob of them, GZIP or not.
        tokenizer_folder: tokenizer artifact that the ids belong to.
        out: where the artifact goes.
        settings: length that is expected, held-out share, shards, compression.
        seed: of the shuffle.

    Returns:
        sequences and predictions of either split.

    Raises:
        UserError: naming the file that is not of this form, length or vocabulary.
    """
    artifacts.read(tokenizer_folder, "tokenizer")
    tokenizer = tokenization.load(tokenizer_folder)
    listed = _files(pattern)
    sources, predictions = _checked_files(listed, settings.sequence_length)
    record_format = static.format_of(settings.sequence_length, predictions, tokenizer.size)
    shaping = {"records": settings.shaping(), "seed": seed, "listing": listing(map(str, listed))}
    with artifacts.writing(
        out, "records", settings=shaping, inputs={"tokenizer": tokenizer_folder}, versions=("isal", "xxhash")
    ) as writer:
        spills = writer.path(SPILLS, "-").parent
        counts: Counter[str] = Counter()
        labels = np.zeros(tokenizer.size, np.int64)
        spill_files = _spill(
            _checked(sources, predictions, tokenizer, settings, counts, labels),
            spills,
            record_format,
            settings,
            seed,
        )
        body: dict[str, Any] = {}
        for split in shuffling.SPLITS:
            body[split] = _shards(writer, split, spill_files[split], record_format, settings)
            counts[f"{split}_sequences"] = sum(body[split])
            if not counts[f"{split}_sequences"]:
                raise UserError(
                    f"records.from: {sum(counts.values())} records there gave no {split} record; change "
                    f"records.heldout_share"
                )
        shutil.rmtree(spills)
        body |= {
            **{
                "sequence_length": settings.sequence_length,
                "max_predictions": predictions,
                "masks": "static",
            },
            **{
                "vocabulary_size": tokenizer.size,
                "id_bytes": record_format.dtype.itemsize,
                "layout": "pairs",
                "next_sentence": True,
            },
            **{
                "compression": settings.compression,
                "unigram_accuracy": float(labels.max() / max(1, labels.sum())),
            },
            **{"vocabulary": tokenizer.digest, "tokenizer": artifacts.digest(tokenizer_folder)},
            **dict(zip(dataset.SPECIAL, tokenizer.special_ids, strict=True)),
        }
        writer.json(dataset.DESCRIPTION, body)
        writer.counts = dict(counts)
    log_share(counts, settings.heldout_share)
    logging.info("records: %s", ", ".join(f"{name} {value}" for name, value in sorted(counts.items())))
    return counts


def _files(pattern: str) -> list[Path]:
    listed = discovery.find(pattern)
    for each in listed.skipped:
        if each.unreadable:
            raise UserError(
                f"{each.path}: {each.why}; records.from names a folder or glob of classic BERT records"
            )
        logging.info("records.from: left out %s: %s", each.path, each.why)
    if not listed.files:
        raise UserError(
            f"records.from: no file at {pattern}; name a folder or glob of classic BERT records (TFRecord "
            "files)"
        )
    return [Path(path) for path in listed.files]


def _checked_files(paths: Sequence[Path], sequence_length: int) -> tuple[list[Path], int]:
    """The files that have records, and P, the same in all of them."""
    widths: dict[Path, tuple[int, int]] = {}
    for path in paths:
        if (mine := classic.widths(path)) is None:
            logging.warning("records.from: %s has no record", path)
        else:
            widths[path] = mine
    if not widths:
        raise UserError(f"records.from: none of the {len(paths)} files there has a record")
    sources = list(widths)
    for path, (length, predictions) in widths.items():
        if length != sequence_length:
            raise UserError(
                f"{path}: holds sequences of {length} tokens, but records.sequence_length is "
                f"{sequence_length}; set it to {length}"
            )
        if predictions != widths[sources[0]][1]:
            raise UserError(
                f"{path}: {predictions} predictions a record, but {sources[0]} has "
                f"{widths[sources[0]][1]}; give files of one kind"
            )
    return sources, widths[sources[0]][1]


def _checked(
    sources: Sequence[Path],
    predictions: int,
    tokenizer: Tokenizer,
    settings: Records,
    counts: Counter[str],
    labels: np.ndarray,
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches that are what they should be, and (n,) uint64 hashes of their unmasked ids; counts tokens
    and labels.
    """
    for path in sources:
        for batch in classic.read(path, settings.sequence_length, predictions):
            problem = _problem(batch, tokenizer)
            if problem:
                raise UserError(
                    f"{path}: {problem}; were these records made with the vocabulary of {tokenizer.size} "
                    f"entries?"
                )
            ids = batch["input_ids"].astype("<i4")
            row, slot = np.nonzero(batch["masked_weights"] > 0)
            ids[row, batch["masked_positions"][row, slot]] = batch["masked_ids"][row, slot]
            labels += np.bincount(batch["masked_ids"][row, slot], minlength=len(labels))
            counts["tokens"] += int(batch["input_mask"].sum())
            counts["predictions"] += len(row)
            yield batch, np.array([xxhash.xxh3_64_intdigest(one.tobytes()) for one in ids], np.uint64)


def _problem(batch: Batch, tokenizer: Tokenizer) -> str:
    """What is wrong with a batch, or nothing."""
    length = batch["input_ids"].shape[1]
    bounds = {
        "input_ids": tokenizer.size,
        "masked_ids": tokenizer.size,
        "masked_positions": length,
        "segment_ids": 2,
        classic.LABEL: 2,
    }
    for name, bound in bounds.items():
        values = batch[name]
        if values.min() < 0 or values.max() >= bound:
            return (
                f"{name} has {values.min() if values.min() < 0 else values.max()}, expected 0 to {bound - 1}"
            )
    if (batch["input_ids"][:, 0] != tokenizer.cls).any():
        return (
            f"a record begins with id "
            f"{batch['input_ids'][batch['input_ids'][:, 0] != tokenizer.cls][0, 0]}, [CLS] is "
            f"{tokenizer.cls}"
        )
    if (np.diff(batch["input_mask"], axis=1) > 0).any():
        return "an input_mask has a hole"
    if not np.isin(batch["masked_weights"], (0, 1)).all():
        return "masked_lm_weights has a value other than 0 and 1"
    return ""


def _spill(
    batches: Iterator[tuple[Batch, np.ndarray]],
    folder: Path,
    record_format: RecordFormat,
    settings: Records,
    seed: int,
) -> dict[str, list[str]]:
    """Spills of either split, by place."""
    spill_files: dict[str, list[str]] = {split: [] for split in shuffling.SPLITS}
    pending: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {split: [] for split in shuffling.SPLITS}

    def flush(split: str) -> None:
        if pending[split]:
            rows, hashes = (np.concatenate(arrays) for arrays in zip(*pending[split], strict=True))
            pending[split].clear()
            spill_files[split].append(str(folder / f"{split}-{len(spill_files[split]):06d}.rows"))
            shuffling.spill(
                spill_files[split][-1],
                rows,
                hashes,
                record_format,
                seed,
                settings.shards if split == "train" else 1,
            )

    for batch, hashes in batches:
        rows, heldout = static.rows(batch, record_format), hashes < np.uint64(settings.heldout_share * 2**64)
        for split, chosen in (("train", ~heldout), ("heldout", heldout)):
            pending[split].append((rows[chosen], hashes[chosen]))
            if sum(len(chunk) for chunk, _ in pending[split]) >= ROWS_A_SPILL:
                flush(split)
    for split in shuffling.SPLITS:
        flush(split)
    return spill_files


def _shards(
    writer: artifacts.Writer, split: str, spills: list[str], record_format: RecordFormat, settings: Records
) -> list[int]:
    """Write the files of a split; returns the number of records in each."""
    count = settings.shards if split == "train" else 1
    counts = []
    for number in range(count):
        path = str(writer.path(dataset.shard_name(split, number, count)))
        arrangement = packing.arrangement(Records(), record_format, ())
        counts.append(
            shuffling.write_shard(
                path, spills, record_format, arrangement, settings.compression, number, count
            )[-1]
        )
    return counts
