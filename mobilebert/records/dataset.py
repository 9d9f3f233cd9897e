"""Records on disk, addressed by position: the batch of any step is a computation. No TensorFlow."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from mobilebert.errors import UserError
from mobilebert.records import counter_rng, crops, gzip_blocks
from mobilebert.records.bert_format import static
from mobilebert.records.masking import Batch, mask
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Masking
from mobilebert.storage import artifacts

DESCRIPTION = "records.json"
SPECIAL = ("pad", "unk", "cls", "sep", "mask")
# What records.json did not say when there was no choice.
FIRST_RELEASE = {"layout": "windows", "next_sentence": False, "compression": "none"}
HELDOUT = -1  # stands where training has the epoch, so held-out masks are always the same
CROP_DRAW = 4096  # where in a record's stream the draw of its piece stands (`masking` has those before)


class _Split:
    """The shards of one split, as one row of records: all full blocks of all files first, then what fills no
    block.

    So blocks of a file are `counter_rng.NEIGHBOURS`, and a reader of a span of them inflates each once.
    """

    def __init__(
        self, folder: Path, split: str, counts: list[int], record_format: RecordFormat, compression: str
    ) -> None:
        self.count = sum(counts)
        whole = np.array(counts) // gzip_blocks.BLOCK * gzip_blocks.BLOCK
        self._ends = np.cumsum(np.append(whole, counts - whole))
        self._shift = np.append(0, self._ends[:-1]) - np.append(np.zeros_like(whole), whole)
        cached = lru_cache(gzip_blocks.BLOCKS_KEPT)(
            gzip_blocks.Compressed.inflated
        )  # threads of several readers may share it
        paths = [folder / shard_name(split, n, len(counts)) for n in range(len(counts))]
        self._shards: list[gzip_blocks.Plain | gzip_blocks.Compressed] = [
            gzip_blocks.Compressed(path, count, record_format, cached)
            if compression == "gzip"
            else gzip_blocks.Plain(path, count, record_format)
            for path, count in zip(paths, counts, strict=True)
        ]
        self._form = record_format

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(n, S) stored ids with flags of the records with these numbers."""
        made = np.empty((len(numbers), self._form.sequence_length), self._form.dtype)
        shards, positions = self.locate(numbers)
        for which in np.unique(shards).tolist():
            here = np.flatnonzero(shards == which)
            made[here] = self._shards[which].rows(positions[here])
        return made

    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The file, and the record of it, both from 0 on, of the records with these numbers, each (n,)."""
        range_index = np.searchsorted(self._ends, numbers, "right")
        return range_index % len(self._shards), numbers - self._shift[range_index]


class RecordSet:
    """A records artifact; presence and size of all files are checked when it is opened.

    Bytes were hashed where the records were made. A block of gzip is checked by its own CRC-32 when it is
    read, so only files without compression, whose bytes nothing else checks, are hashed again here, by each
    job.

    Attributes: `sequence_length` S, `vocabulary_size`, `train_count`, `heldout_count` (records),
    `train_files`, `unigram_accuracy` (share of the most frequent token among the held-out tokens), `special`
    (ids of [PAD] [UNK] [CLS] [SEP] [MASK]), `vocabulary` (the tokenizer's digest), `next_sentence` (whether
    batches have `next_sentence_labels`, (B,) int32: 0 for the next segment, 1 for another document's).
    """

    def __init__(self, folder: Path | str) -> None:
        """Raises: ArtifactError or UserError naming the file that is missing, damaged or of another form."""
        folder = Path(folder)
        artifacts.read(folder, "records", verify=False)
        body = FIRST_RELEASE | json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        artifacts.read(folder, "records", verify=body["compression"] == "none")
        self.folder = folder
        self.sequence_length: int = body["sequence_length"]
        self.vocabulary_size: int = body["vocabulary_size"]
        self.unigram_accuracy: float = body["unigram_accuracy"]
        self.special: tuple[int, ...] = tuple(body[name] for name in SPECIAL)
        self.vocabulary: str = body["vocabulary"]
        self.next_sentence: bool = body["next_sentence"]
        self._segments = body["layout"] != "full"
        # P of records that bring their masks; of others the settings say it.
        self._given: int | None = body.get("max_predictions")
        self._form = RecordFormat(self.sequence_length, self.vocabulary_size)
        if self._given is not None:
            self._form = static.format_of(self.sequence_length, self._given, self.vocabulary_size)
        self.train_files = len(body["train"])
        self._train, self._heldout = (
            _Split(folder, split, body[split], self._form, body["compression"])
            for split in ("train", "heldout")
        )
        self.train_count, self.heldout_count = self._train.count, self._heldout.count

    def predictions(self, masking: Masking, length: int | None = None) -> int:
        """P, the most predictions a sequence; of pieces of `length` tokens that share of it, rounded up."""
        if self._given is not None:
            return self._given
        return (
            masking.max_predictions
            if length is None
            else -(-masking.max_predictions * length // self.sequence_length)
        )

    def train_batches(
        self,
        masking: Masking,
        batch_size: int,
        seed: int,
        step: int,
        steps: int = 1,
        length: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> Batch:
        """The batches of `steps` steps from `step` on, one after the other (`masking.mask` says what is in
        them).

        Record n of the endless stream is position n modulo the number of records in the permutation of its
        epoch; its mask depends on seed, epoch and record alone, not on the batch size. With `length` a batch
        holds a crop of each record (`crops.cut`), drawn from seed, epoch and record. With a `share` (host,
        hosts) only that host's rows of each batch are read.
        """
        epoch, numbers = self._order(batch_size, seed, step, steps, share)
        return self._batch(self._train, numbers, counter_rng.keys(seed, epoch, numbers), masking, length)

    def locate_train(self, batch_size: int, seed: int, step: int) -> list[tuple[str, int]]:
        """The file and the number in it, from 0 on, of each record in the batch of a step, (B,)."""
        shards, positions = self._train.locate(self._order(batch_size, seed, step)[1])
        names = [shard_name("train", number, self.train_files) for number in range(self.train_files)]
        return [
            (names[shard], position)
            for shard, position in zip(shards.tolist(), positions.tolist(), strict=True)
        ]

    def _order(
        self, batch_size: int, seed: int, step: int, steps: int = 1, share: tuple[int, int] = (0, 1)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Epoch and number of each record of these steps that the host reads, both (steps * B / hosts,)
        int64.
        """
        host, hosts = share
        index = (
            np.arange(step * batch_size, (step + steps) * batch_size, dtype=np.int64)
            .reshape(steps, hosts, -1)[:, host]
            .ravel()
        )
        epoch, position = np.divmod(index, self.train_count)
        return epoch, counter_rng.shuffled(position, self.train_count, counter_rng.keys(seed, epoch))

    def heldout_batch(self, masking: Masking, batch_size: int, seed: int, step: int) -> Batch:
        """Held-out batch number `step` in file order; rows beyond the last record repeat it, with weights
        of zero.
        """
        index = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        numbers = np.minimum(index, self.heldout_count - 1)
        batch = self._batch(self._heldout, numbers, counter_rng.keys(seed, HELDOUT, numbers), masking)
        batch["masked_weights"][index >= self.heldout_count] = 0
        return batch

    def _batch(
        self,
        split: _Split,
        numbers: np.ndarray,
        keys: np.ndarray,
        masking: Masking,
        length: int | None = None,
    ) -> Batch:
        rows = split.rows(numbers)
        if length is not None:
            rows = crops.cut(
                rows,
                length,
                counter_rng.uniform(keys, CROP_DRAW),
                self._form,
                self.special,
                paired=self.next_sentence,
            )
            masking = masking.model_copy(update={"max_predictions": self.predictions(masking, length)})
        if self._given is not None:
            return static.batch(rows, self._given, self._form)
        flag = rows.dtype.type(self._form.word_start)
        ids = rows & ~flag
        batch = mask(ids, rows >= flag, keys, self.special, self.vocabulary_size, masking)
        if not self._segments:
            batch["segment_ids"][:] = 0  # a [SEP] inside parts documents, and all of them are text alike
        if self.next_sentence:
            batch["next_sentence_labels"] = (rows[:, 0] >= flag).astype(np.int32)
        return batch

    def check_length(self, length: int) -> None:
        """Refuse pieces of `length` tokens where the records cannot give them.

        Raises:
            UserError: the records bring masks of their own, or are not longer.
        """
        if self._given is not None:
            raise UserError(
                f"{self.folder}: these records bring masks of their own and cannot be cut to the {length} "
                "tokens of a phase; write records here, or empty the list `phases` of the training"
            )
        if length >= self.sequence_length:
            raise UserError(
                f"{self.folder}: a phase asks for sequences of {length} tokens, and the records have "
                f"{self.sequence_length}; give the "
                "phase a smaller sequence_length"
            )


def shard_name(split: str, number: int, count: int) -> str:
    """`train-00000-of-00004.tfrecord`"""
    return f"{split}-{number:05d}-of-{count:05d}.tfrecord"
