"""The stages of the writer: blocks of the corpus to spills of rows, then all spills to shards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert import tokenization
from mobilebert.dataflow.stages import Stage
from mobilebert.errors import UserError
from mobilebert.records import chunking, dataset, packing, shuffling
from mobilebert.records.record_format import RecordFormat
from mobilebert.settings import Records
from mobilebert.storage import paths, row_groups
from mobilebert.text import words

TEXT = "text"
BLOCK_BYTES = 2_000_000
# From 8 GB on blocks are larger: every bucket of the shuffle opens the spills of all blocks.
MOST_BLOCKS = 4096
# a call of `chunking.pack` takes 10 (Han) to 65 (Latin letters at random) times as much (measured)
BYTES_AT_ONCE = 300_000
SPILL_BYTES = 8_000_000

Rows = dict[str, list[tuple[np.ndarray, np.ndarray]]]  # split -> rows and their documents


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    tokenizer: str  # tokenizer artifact, a path or URL
    tokenizer_files: tuple[str, ...]
    special: tuple[int, ...]  # its ids of [PAD] [UNK] [CLS] [SEP] [MASK]
    dictionary: str  # the content of the user's dictionary, or nothing
    folder: str  # work folder that all workers see, a path or URL
    record_format: RecordFormat
    settings: Records
    seed: int

    def shards(self, split: str) -> int:
        """How many files a split is written to."""
        return self.settings.shards if split == "train" else 1

    def shard(self, split: str, number: int) -> str:
        """The path or URL of a file of records; its counts lie beside it in `.json`."""
        return paths.join(self.folder, dataset.shard_name(split, number, self.shards(split)))

    def shard_paths(self, split: str) -> list[str]:
        """The paths or URLs of all files of a split."""
        return [self.shard(split, number) for number in range(self.shards(split))]

    def block(self, number: int) -> str:
        """The path or URL of a block's counts; it is written when all spills of the block are."""
        return paths.join(self.folder, f"block-{number:06d}.json")


@dataclass(frozen=True)
class RowGroupRange:
    """Row groups `first` to `last` (excluded) of a Parquet file, about `BLOCK_BYTES` of text or a share of
    all.
    """

    number: int
    path: str
    first: int
    last: int
    size: int


def blocks(corpus: Path) -> list[RowGroupRange]:
    """The corpus cut into blocks.

    Raises:
        UserError: no Parquet file there, or one that cannot be read or has no column `text`.
    """
    group_sizes = {path: _group_sizes(path) for path in sorted(corpus.glob("*.parquet"))}
    most = max(BLOCK_BYTES, sum(map(sum, group_sizes.values())) // MOST_BLOCKS)
    made: list[RowGroupRange] = []
    for path, sizes in group_sizes.items():
        fresh = True
        for group, size in enumerate(sizes):
            if not fresh and made[-1].size + size <= most:
                made[-1] = replace(made[-1], last=group + 1, size=made[-1].size + size)
            else:
                made.append(RowGroupRange(len(made), str(path), group, group + 1, size))
            fresh = False
    if not made:
        raise UserError(
            f"{corpus}: no documents in Parquet files there; check the corpus stage's funnel.json"
        )
    return made


def _group_sizes(path: Path) -> list[int]:
    """The bytes of text of each row group."""
    try:
        groups = pq.ParquetFile(path).metadata
        column = groups.schema.names.index(TEXT)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a Parquet file with a column '{TEXT}' ({error})") from None
    return [
        groups.row_group(group).column(column).total_uncompressed_size
        for group in range(groups.num_row_groups)
    ]


def sent(blocks: list[RowGroupRange], folder: str) -> list[RowGroupRange]:
    """The blocks with their files copied to a place, for workers that do not see ours."""
    paths.make_folder(folder)
    copies = {path: paths.join(folder, Path(path).name) for path in sorted({block.path for block in blocks})}
    for path, copy in copies.items():
        paths.send(Path(path), copy)
    return [replace(block, path=copies[block.path]) for block in blocks]


def stages(job: Job, corpus: list[RowGroupRange]) -> list[Stage]:
    """Encode all blocks, then write all shards."""
    count = len(corpus)
    shards = [(split, number) for split in shuffling.SPLITS for number in range(job.shards(split))]

    def after_blocks(encoded: list[tuple[int, dict[str, int]]]) -> Iterable[int]:
        paths.write(_spill_counts(job), json.dumps(sorted(encoded)).encode())
        return range(len(shards))

    return [
        Stage("EncodeBlock", lambda _: range(count), lambda number: encode_block(corpus[number], job)),
        Stage("WriteShard", after_blocks, lambda number: write_shard(*shards[number], job)),
    ]


def encode_block(block: RowGroupRange, job: Job) -> tuple[int, dict[str, int]]:
    """A block of documents to spills of rows, unless a run that was killed has done it.

    Returns:
        The block's number, and how many spills it has in each split.
    """
    if not paths.exists(job.block(block.number)):
        _encode(block, job)
    counts = shuffling.sum_counts([job.block(block.number)])
    return block.number, {split: counts[f"{split}_spills"] for split in shuffling.SPLITS}


def write_shard(split: str, number: int, job: Job) -> None:
    """All spills of a split to a file of records with its counts beside it, unless a run that was killed
    has done it.
    """
    out = job.shard(split, number)
    if paths.exists(f"{out}.json"):
        return
    counts_by_block = json.loads(paths.read(_spill_counts(job)))
    spills = [
        _spill(job, split, block, spill) for block, each in counts_by_block for spill in range(each[split])
    ]
    arrangement = packing.arrangement(job.settings, job.record_format, job.special)
    counts = shuffling.write_shard(
        out, spills, job.record_format, arrangement, job.settings.compression, number, job.shards(split)
    )
    shuffling.save_counts(f"{out}.json", counts)


@lru_cache(maxsize=1)
def _load(job: Job) -> tuple[tokenization.Tokenizer, words.Cut]:
    """The tokenizer and the segmenter, once for each worker and job."""
    with paths.local_folder(job.tokenizer, job.tokenizer_files) as folder:
        tokenizer = tokenization.load(folder)
        return tokenizer, words.cutter(job.dictionary, tokenizer.lowercase)


def _encode(block: RowGroupRange, job: Job) -> None:
    """Pack the block's documents some at a time, so that a huge row group needs no more memory than a
    small one.
    """
    tokenizer, cut = _load(job)
    counts: Counter[str] = Counter()
    rows: Rows = {split: [] for split in shuffling.SPLITS}
    for documents in texts(block):
        packed = chunking.pack(documents, tokenizer, job.record_format, job.settings, cut)
        counts.update(packed.counts)
        for split, chosen in (("train", ~packed.heldout), ("heldout", packed.heldout)):
            rows[split].append((packed.rows[chosen], packed.documents[chosen]))
        if sum(array.nbytes for array, _ in rows["train"]) > SPILL_BYTES:
            _write_spills(block, rows, counts, job)
    _write_spills(block, rows, counts, job)
    shuffling.save_counts(job.block(block.number), counts)


def _write_spills(block: RowGroupRange, rows: Rows, counts: Counter[str], job: Job) -> None:
    """Write what is in `rows`, count the spills, and empty it."""
    for split, batches in rows.items():
        if batches:
            ids, documents = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
            batches.clear()
            out = _spill(job, split, block.number, counts[f"{split}_spills"])
            shuffling.spill(out, ids, documents, job.record_format, job.seed, job.shards(split))
            counts[f"{split}_spills"] += 1


def _spill_counts(job: Job) -> str:
    """The path or URL of the numbers of spills of all blocks."""
    return paths.join(job.folder, "spills.json")


def _spill(job: Job, split: str, block: int, number: int) -> str:
    return paths.join(job.folder, f"{split}-{block:06d}-{number:03d}.rows")


def texts(block: RowGroupRange) -> Iterator[list[bytes]]:
    """The block's documents in UTF-8, some at a time: at least one, together about `BYTES_AT_ONCE`."""
    batch_texts: list[bytes] = []
    size = 0
    with paths.opened(block.path) as stream:
        for batch in row_groups.batches(
            pq.ParquetFile(stream, buffer_size=1 << 20), range(block.first, block.last), [TEXT]
        ):
            for text in filter(None, batch.column(0).cast(pa.large_binary()).to_pylist()):
                if batch_texts and size + len(text) > BYTES_AT_ONCE:
                    yield batch_texts
                    batch_texts, size = [], 0
                batch_texts.append(text)
                size += len(text)
    if batch_texts:
        yield batch_texts
