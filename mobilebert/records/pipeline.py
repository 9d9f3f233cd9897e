"""The Beam pipeline of the writer. Elements are references to stretches of the corpus and to shards, never texts or rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.records import arranging, packing, recordset, shuffling
from mobilebert.records.form import Form
from mobilebert.settings import Records
from mobilebert.storage import paths as places
from mobilebert.storage import row_groups
from mobilebert.text import words

TEXT = "text"
BLOCK_BYTES = 2_000_000
# From 8 GB on blocks are larger: every bucket of the shuffle opens the spills of all blocks.
MOST_BLOCKS = 4096
BYTES_AT_ONCE = 300_000  # a call of `packing.pack` takes 10 (Han) to 65 (Latin letters at random) times as much (measured)
SPILL_BYTES = 8_000_000

Held = dict[str, list[tuple[np.ndarray, np.ndarray]]]  # split -> rows and their documents


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    tokenizer: str  # tokenizer artefact, a place
    tokenizer_files: tuple[str, ...]
    special: tuple[int, ...]  # its ids of [PAD] [UNK] [CLS] [SEP] [MASK]
    dictionary: str  # the content of the user's dictionary, or nothing
    folder: str  # work folder that all workers see, a place
    form: Form
    settings: Records
    seed: int

    def shards(self, split: str) -> int:
        """How many files a split is written to."""
        return self.settings.shards if split == "train" else 1

    def shard(self, split: str, number: int) -> str:
        """The place of a file of records; its counts lie beside it in `.json`."""
        return places.join(self.folder, recordset.shard_name(split, number, self.shards(split)))

    def places(self, split: str) -> list[str]:
        """The places of all files of a split."""
        return [self.shard(split, number) for number in range(self.shards(split))]

    def block(self, number: int) -> str:
        """The place of a block's counts; it is written when all spills of the block are."""
        return places.join(self.folder, f"block-{number:06d}.json")


@dataclass(frozen=True)
class Block:
    """Row groups `first` to `last` (excluded) of a Parquet file, about `BLOCK_BYTES` of text or a share of all."""

    number: int
    path: str
    first: int
    last: int
    size: int


@dataclass(frozen=True)
class Shard:
    """One file to write."""

    split: str
    number: int


def blocks(corpus: Path) -> list[Block]:
    """The corpus cut into blocks.

    Raises:
        UserError: no Parquet file there, or one that cannot be read or has no column `text`.
    """
    found = {path: _group_sizes(path) for path in sorted(corpus.glob("*.parquet"))}
    most = max(BLOCK_BYTES, sum(map(sum, found.values())) // MOST_BLOCKS)
    made: list[Block] = []
    for path, sizes in found.items():
        fresh = True
        for group, size in enumerate(sizes):
            if not fresh and made[-1].size + size <= most:
                made[-1] = replace(made[-1], last=group + 1, size=made[-1].size + size)
            else:
                made.append(Block(len(made), str(path), group, group + 1, size))
            fresh = False
    if not made:
        raise UserError(f"{corpus}: no documents in Parquet files there; check the corpus stage's funnel.json")
    return made


def _group_sizes(path: Path) -> list[int]:
    """The bytes of text of each row group."""
    try:
        groups = pq.ParquetFile(path).metadata
        column = groups.schema.names.index(TEXT)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a Parquet file with a column '{TEXT}' ({error})") from None
    return [groups.row_group(group).column(column).total_uncompressed_size for group in range(groups.num_row_groups)]


def sent(blocks: list[Block], folder: str) -> list[Block]:
    """The blocks with their files copied to a place, for workers that do not see ours."""
    places.make_folder(folder)
    there = {path: places.join(folder, Path(path).name) for path in sorted({block.path for block in blocks})}
    for path, place in there.items():
        places.send(Path(path), place)
    return [replace(block, path=there[block.path]) for block in blocks]


def build(pipeline: beam.Pipeline, job: Job, corpus: list[Block]) -> None:
    """Put the stages on a pipeline: encode all blocks, then write all shards."""
    shards = [Shard(split, number) for split in shuffling.SPLITS for number in range(job.shards(split))]
    encoded = pipeline | "Blocks" >> beam.Create(corpus) | "EncodeBlock" >> beam.ParDo(EncodeBlock(job))
    # The shards wait for all blocks, whose numbers of spills are their side input.
    _ = pipeline | "Shards" >> beam.Create(shards) | "WriteShard" >> beam.ParDo(WriteShard(job), beam.pvalue.AsList(encoded))


class EncodeBlock(beam.DoFn):
    """A block of documents to spills of rows; yields the block's number and the number of its spills in each split."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        """Once a worker: load the tokenizer and the words."""
        self._cut = words.cutter(self._job.dictionary)
        with places.local_folder(self._job.tokenizer, self._job.tokenizer_files) as folder:
            self._tokenizer = tokenization.load(folder)

    def process(self, block: Block) -> Iterator[tuple[int, dict[str, int]]]:
        """Pack the block's documents some at a time, so that a huge row group needs no more memory than a small one."""
        if not places.exists(self._job.block(block.number)):  # else a run that was killed has done it
            self._encode(block)
        counts = shuffling.sum_counts([self._job.block(block.number)])
        yield block.number, {split: counts[f"{split}_spills"] for split in shuffling.SPLITS}

    def _encode(self, block: Block) -> None:
        counts: Counter[str] = Counter()
        held: Held = {split: [] for split in shuffling.SPLITS}
        for documents in texts(block):
            packed = packing.pack(documents, self._tokenizer, self._job.form, self._job.settings, self._cut)
            counts.update(packed.counts)
            for split, chosen in (("train", ~packed.heldout), ("heldout", packed.heldout)):
                held[split].append((packed.rows[chosen], packed.documents[chosen]))
            if sum(rows.nbytes for rows, _ in held["train"]) > SPILL_BYTES:
                self._spill(block, held, counts)
        self._spill(block, held, counts)
        shuffling.save_counts(self._job.block(block.number), counts)

    def _spill(self, block: Block, held: Held, counts: Counter[str]) -> None:
        for split, parts in held.items():
            if parts:
                rows, documents = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
                parts.clear()
                place = _spill(self._job, split, block.number, counts[f"{split}_spills"])
                shuffling.spill(place, rows, documents, self._job.form, self._job.seed, self._job.shards(split))
                counts[f"{split}_spills"] += 1


class WriteShard(beam.DoFn):
    """All spills to one file of records."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, shard: Shard, blocks: list[tuple[int, dict[str, int]]]) -> None:
        """Write the shard and, beside it, its counts."""
        job, place = self._job, self._job.shard(shard.split, shard.number)
        if places.exists(f"{place}.json"):
            return  # by a run that was killed
        spills = [_spill(job, shard.split, number, part) for number, parts in sorted(blocks) for part in range(parts[shard.split])]
        arrangement = arranging.arrangement(job.settings, job.form, job.special)
        counts = shuffling.write_shard(
            place, spills, job.form, arrangement, job.settings.compression, shard.number, job.shards(shard.split)
        )
        shuffling.save_counts(f"{place}.json", counts)


def _spill(job: Job, split: str, block: int, part: int) -> str:
    return places.join(job.folder, f"{split}-{block:06d}-{part:03d}.rows")


def texts(block: Block) -> Iterator[list[bytes]]:
    """The block's documents in UTF-8, some at a time: at least one, together about `BYTES_AT_ONCE`."""
    held: list[bytes] = []
    size = 0
    with places.opened(block.path) as stream:
        for batch in row_groups.batches(pq.ParquetFile(stream, buffer_size=1 << 20), range(block.first, block.last), [TEXT]):
            for text in filter(None, batch.column(0).cast(pa.large_binary()).to_pylist()):
                if held and size + len(text) > BYTES_AT_ONCE:
                    yield held
                    held, size = [], 0
                held.append(text)
                size += len(text)
    if held:
        yield held
