"""The Beam pipeline of the writer. Elements are references to stretches of the corpus and to shards, never texts or rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.records import packing, recordset, shuffling
from mobilebert.records.form import Form
from mobilebert.settings import Records

TEXT = "text"
BLOCK_BYTES = 2_000_000
ROWS_AT_ONCE = 64
CHARACTERS_AT_ONCE = 500_000  # the arrays of a call of `packing.pack` take about 100 bytes a character
SPILL_BYTES = 64_000_000
# Worker processes take 2 to 4 s to start (measured), as long as one core works on this much text.
BYTES_WORTH_A_WORKER = 30_000_000


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    tokenizer: str
    out: str
    spills: str
    form: Form
    settings: Records
    seed: int

    def shards(self, split: str) -> int:
        """How many files a split is written to."""
        return self.settings.shards if split == "train" else 1


@dataclass(frozen=True)
class Block:
    """Row groups `first` to `last` (excluded) of a Parquet file, about `BLOCK_BYTES` of text."""

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
    made: list[Block] = []
    for path in sorted(corpus.glob("*.parquet")):
        try:
            groups = pq.ParquetFile(path).metadata
            column = groups.schema.names.index(TEXT)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a Parquet file with a column '{TEXT}' ({error})") from None
        fresh = True
        for group in range(groups.num_row_groups):
            size = groups.row_group(group).column(column).total_uncompressed_size
            if not fresh and made[-1].size + size <= BLOCK_BYTES:
                made[-1] = replace(made[-1], last=group + 1, size=made[-1].size + size)
            else:
                made.append(Block(len(made), str(path), group, group + 1, size))
            fresh = False
    if not made:
        raise UserError(f"{corpus}: no documents in Parquet files there; check the corpus stage's funnel.json")
    return made


def run(job: Job, corpus: list[Block], threads: int) -> None:
    """Encode all blocks, then write all shards. What is written does not depend on `threads`."""
    workers = max(1, min(threads, sum(block.size for block in corpus) // BYTES_WORTH_A_WORKER))
    mode = "in_memory" if workers == 1 else "multi_processing"
    options = PipelineOptions([], direct_num_workers=workers, direct_running_mode=mode)
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    shards = [Shard(split, number) for split in shuffling.SPLITS for number in range(job.shards(split))]
    # Named: the default direct runner tries to download a program.
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        encoded = (
            pipeline | "Blocks" >> beam.Create(corpus) | "SpreadBlocks" >> beam.Reshuffle() | "EncodeBlock" >> beam.ParDo(EncodeBlock(job))
        )
        (
            pipeline
            | "Shards" >> beam.Create(shards)
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShard" >> beam.ParDo(WriteShard(job), beam.pvalue.AsList(encoded))
        )


class EncodeBlock(beam.DoFn):
    """A block of documents to spills of rows; yields the spills' names (split, path)."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        """Once a worker: load the tokenizer."""
        self._tokenizer = tokenization.load(self._job.tokenizer)

    def process(self, block: Block) -> Iterator[tuple[str, str]]:
        """Pack the block's documents some at a time, so that a huge row group needs no more memory than a small one."""
        counts: Counter[str] = Counter()
        held: dict[str, list[np.ndarray]] = {split: [] for split in shuffling.SPLITS}
        part = 0
        for texts in _texts(block):
            packed = packing.pack(texts, self._tokenizer, self._job.form, self._job.settings)
            counts.update(packed.counts)
            held["train"].append(packed.rows[~packed.heldout])
            held["heldout"].append(packed.rows[packed.heldout])
            if sum(rows.nbytes for rows in held["train"]) > SPILL_BYTES:
                yield from self._spill(block, part, held)
                part += 1
        yield from self._spill(block, part, held)
        shuffling.save_counts(Path(self._job.spills, f"block-{block.number:06d}.json"), counts)

    def _spill(self, block: Block, part: int, held: dict[str, list[np.ndarray]]) -> Iterator[tuple[str, str]]:
        for split, rows in held.items():
            if rows:
                path = Path(self._job.spills, f"{split}-{block.number:06d}-{part:03d}.rows")
                shuffling.spill(path, np.concatenate(rows), self._job.form, self._job.seed)
                rows.clear()
                yield split, str(path)


class WriteShard(beam.DoFn):
    """All spills to one file of records."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, shard: Shard, spills: list[tuple[str, str]]) -> None:
        """Write the shard and, in the spill folder, its counts."""
        paths = sorted(Path(path) for split, path in spills if split == shard.split)
        name = recordset.shard_name(shard.split, shard.number, self._job.shards(shard.split))
        counts = shuffling.write_shard(Path(self._job.out, name), paths, self._job.form, shard.number, self._job.shards(shard.split))
        shuffling.save_counts(Path(self._job.spills, f"{name}.json"), counts)


def _texts(block: Block) -> Iterator[list[str]]:
    """The block's documents, some at a time: at least one, together about `CHARACTERS_AT_ONCE`."""
    file = pq.ParquetFile(block.path)
    held: list[str] = []
    size = 0
    for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=range(block.first, block.last), columns=[TEXT]):
        for text in filter(None, batch.column(0).to_pylist()):
            if held and size + len(text) > CHARACTERS_AT_ONCE:
                yield held
                held, size = [], 0
            held.append(text)
            size += len(text)
    if held:
        yield held
