"""Records on disk, addressed by position: the batch of any step is a computation. No TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mobilebert import artifacts
from mobilebert.errors import UserError
from mobilebert.records import streams
from mobilebert.records.form import Form
from mobilebert.records.masking import Batch, mask
from mobilebert.settings import Masking

DESCRIPTION = "records.json"
SPECIAL = ("pad", "unk", "cls", "sep", "mask")
HELDOUT = -1  # stands where training has the epoch, so held-out masks are always the same


class _Split:
    """The shards of one split, memory-mapped."""

    def __init__(self, folder: Path, split: str, counts: list[int], form: Form) -> None:
        self.count = sum(counts)
        self._ends = np.cumsum(counts)
        self._shards = [self._map(folder / shard_name(split, n, len(counts)), count, form) for n, count in enumerate(counts)]
        self._form = form

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(n, S) stored ids with flags of the records with these numbers."""
        made = np.empty((len(numbers), self._form.sequence_length), self._form.dtype)
        shard = np.searchsorted(self._ends, numbers, "right")
        for which in np.unique(shard).tolist():
            here = shard == which
            before = self._ends[which - 1] if which else 0
            made[here] = self._shards[which]["ids"][numbers[here] - before]
        return made

    @staticmethod
    def _map(path: Path, count: int, form: Form) -> np.ndarray:
        expected = count * form.record.itemsize
        if path.stat().st_size != expected:
            raise UserError(f"{path}: {path.stat().st_size} bytes, but {count} records of {form.record.itemsize} bytes take {expected}")
        if not count:
            return np.zeros(0, form.record)
        mapped = np.memmap(path, form.record, "r")
        if mapped["head"][0].tobytes() != form.head():
            raise UserError(f"{path}: its first record is not one of {form.sequence_length} ids of {form.dtype.itemsize} bytes")
        return mapped


class RecordSet:
    """A records artefact, verified when opened.

    Attributes: `sequence_length` S, `vocabulary_size`, `train_count`, `heldout_count` (records), `unigram_accuracy` (share of the most
    frequent token among the held-out tokens), `special` (ids of [PAD] [UNK] [CLS] [SEP] [MASK]), `vocabulary` (the tokenizer's digest).
    """

    def __init__(self, folder: Path | str) -> None:
        """Raises: ArtifactError or UserError naming the file that is missing, damaged or of another form."""
        folder = Path(folder)
        artifacts.read(folder, "records")
        body = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        self.folder = folder
        self.sequence_length: int = body["sequence_length"]
        self.vocabulary_size: int = body["vocabulary_size"]
        self.unigram_accuracy: float = body["unigram_accuracy"]
        self.special: tuple[int, ...] = tuple(body[name] for name in SPECIAL)
        self.vocabulary: str = body["vocabulary"]
        self._form = Form(self.sequence_length, self.vocabulary_size)
        self._train, self._heldout = (_Split(folder, split, body[split], self._form) for split in ("train", "heldout"))
        self.train_count, self.heldout_count = self._train.count, self._heldout.count

    def train_batches(self, masking: Masking, batch_size: int, seed: int, step: int, steps: int = 1) -> Batch:
        """The batches of `steps` steps from `step` on, one after the other (`masking.mask` says what is in them).

        Record n of the endless stream is position n modulo the number of records in the permutation of its epoch; its mask depends on
        seed, epoch and record alone, not on the batch size.
        """
        place = np.arange(step * batch_size, (step + steps) * batch_size, dtype=np.int64)
        epoch, position = np.divmod(place, self.train_count)
        numbers = streams.permuted(position, self.train_count, streams.keys(seed, epoch))
        return self._batch(self._train, numbers, streams.keys(seed, epoch, numbers), masking)

    def heldout_batch(self, masking: Masking, batch_size: int, seed: int, step: int) -> Batch:
        """Held-out batch number `step` in file order; rows beyond the last record repeat it, with weights of zero."""
        place = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        numbers = np.minimum(place, self.heldout_count - 1)
        batch = self._batch(self._heldout, numbers, streams.keys(seed, HELDOUT, numbers), masking)
        batch["masked_weights"][place >= self.heldout_count] = 0
        return batch

    def _batch(self, split: _Split, numbers: np.ndarray, keys: np.ndarray, masking: Masking) -> Batch:
        rows = split.rows(numbers)
        flag = rows.dtype.type(self._form.word_start)
        ids = (rows & ~flag).astype(np.int32)
        return mask(ids, rows >= flag, keys, self.special, self.vocabulary_size, masking)


def shard_name(split: str, number: int, count: int) -> str:
    """`train-00000-of-00004.tfrecord`"""
    return f"{split}-{number:05d}-of-{count:05d}.tfrecord"
