"""Stage 2: what is left of the cleaned blocks becomes Parquet; counts and samples of rejects come
together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus import duplicates, file_counts, funnel
from mobilebert.corpus.cleaning import REJECTS, CleaningContext, writing_rejects
from mobilebert.corpus.dedup import block_store, paragraphs, verdicts
from mobilebert.storage import paths, row_groups

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("text", pa.string()),
        ("exact_copies", pa.uint32()),  # that were dropped for it
        ("near_copies", pa.uint32()),
    ]
)
ELEMENTS_PER_SHARD = 8
Gone = dict[int, set[int]]  # of documents, by their place in a block, the numbers of the lines that go
_SHARED = 100  # beside the fates that `verdicts` knows
_REASONS = {
    verdicts.EXACT: "exact_duplicate",
    verdicts.NEAR: "near_duplicate",
    verdicts.OTHER: "in_other_corpus",
    _SHARED: "shared_paragraphs",
}
_PART_BYTES = 64_000_000  # of text; an element that is one large compressed file gives several parts


@dataclass(frozen=True)
class Collected:
    """What all parts left in the work folder: paths of files, in order, and counts by source.

    `rejects` is the sample as a table, or the files of all; `groups` the largest groups of duplicates.
    """

    counts: dict[str, dict[str, Any]]
    documents: list[str]
    rejects: pa.Table | list[str]
    duplicates: list[str]
    groups: list[dict[str, Any]]


@dataclass
class _Outputs:
    """What the documents of a part that go leave, and which ones stay."""

    rejects: funnel.Rejects
    duplicates: pq.ParquetWriter
    names: duplicates.Names
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: file_counts.Files = field(default_factory=file_counts.Files)
    duplicated: int = 0  # rows of `duplicates`
    groups: list[dict[str, Any]] = field(default_factory=list)
    stays: list[np.ndarray] = field(default_factory=list)  # (D,) bool of each block


def write_shard(shard: int, elements: int, context: CleaningContext) -> int:
    """Write the documents of a part of all the `elements` that stay, and what became of the others, into the
    work folder; returns the part's number.

    `part-NNNNNN-NNNN.parquet` (a row group a block), `part-NNNNNN.rejects` and `part-NNNNNN.duplicates`
    (Parquet), `part-NNNNNN.stays` (a byte a document), and at last `part-NNNNNN.json` ({"files": number of
    Parquet files, "rejects" and "duplicates": number of rows, "groups": the largest ones, "sources": counts
    as in funnel.json, "by_file": counts by file}).
    """
    stem = _stem(context.folder, shard)
    if paths.exists(f"{stem}.json"):
        return shard  # by a run that was killed
    mine = range(shard * ELEMENTS_PER_SHARD, min((shard + 1) * ELEMENTS_PER_SHARD, elements))
    blocks = block_store.Blocks(context.folder)
    decided = verdicts.verdicts(blocks.before(mine.start), blocks.before(mine.stop), context)
    shared = _Shared(context)
    with (
        _ParquetFiles(stem) as writer,
        writing_rejects(f"{stem}.rejects", context.settings.rejects_per_reason) as rejects,
        paths.writing(f"{stem}.duplicates") as stream,
        pq.ParquetWriter(stream, duplicates.DUPLICATES, compression="zstd") as table,
    ):
        outputs = _Outputs(rejects, table, duplicates.Names(context))
        for element in mine:
            summary = json.loads(paths.read(paths.join(context.folder, f"{element:06d}.json")))
            for source, source_counts in summary["sources"].items():
                funnel.merge(outputs.counts.setdefault(source, funnel.new()), source_counts)
            outputs.files.merge(summary["files"])
            _add(paths.join(context.folder, f"{element:06d}.rejects"), rejects)
            for block, size in enumerate(summary["blocks"]):
                gone = shared.of(element, block, size)
                rows = _kept(element, block, decided[:size], gone, outputs, context)
                writer.write(rows)
                outputs.groups = duplicates.largest([*outputs.groups, *duplicates.groups(rows)])
                decided = decided[size:]
    paths.write(f"{stem}.stays", np.concatenate([np.zeros(0, bool), *outputs.stays]).tobytes())
    summary = {
        "files": writer.number,
        "rejects": rejects.written,
        "duplicates": outputs.duplicated,
        "groups": outputs.groups,
        "sources": outputs.counts,
        "by_file": outputs.files.counts,
    }
    paths.write(f"{stem}.json", json.dumps(summary, ensure_ascii=False).encode())
    return shard


def stays_files(folder: str, shards: int) -> list[str]:
    """The files with a byte a document, whether it is in the corpus, in order."""
    return [f"{_stem(folder, shard)}.stays" for shard in range(shards)]


def collect(folder: str, shards: int, sources: Iterable[str], most: int | str) -> Collected:
    """What all parts left in the work folder."""
    counts = {source: funnel.new() for source in sources}
    files, rejected, duplicated = [], [], []
    groups: list[dict[str, Any]] = []
    for stem in (_stem(folder, shard) for shard in range(shards)):
        summary = json.loads(paths.read(f"{stem}.json"))
        for source, source_counts in summary["sources"].items():
            funnel.merge(counts.setdefault(source, funnel.new()), source_counts)
        files += [_file(stem, number) for number in range(summary["files"])]
        rejected += [f"{stem}.rejects"] if summary["rejects"] else []
        duplicated += [f"{stem}.duplicates"] if summary["duplicates"] else []
        groups = duplicates.largest([*groups, *summary["groups"]])
    for entry in counts.values():
        for name in ("reasons", "lines", "masked", "scripts"):
            entry[name] = dict(sorted(entry[name].items()))
    if isinstance(most, str):
        return Collected(counts, files, rejected, duplicated, groups)
    sample: list[dict[str, Any]] = []
    rejects = funnel.Rejects(most, lambda rows: sample.extend(row._asdict() for row in rows))
    for path in rejected:
        _add(path, rejects)
    rejects.flush()
    return Collected(counts, files, pa.Table.from_pylist(sample, REJECTS), duplicated, groups)


def collect_files(folder: str, shards: int) -> file_counts.Files:
    """The counts by file of all parts."""
    files = file_counts.Files()
    for shard in range(shards):
        files.merge(json.loads(paths.read(f"{_stem(folder, shard)}.json"))["by_file"])
    return files


def shard_count(elements: int) -> int:
    """The number of parts."""
    return -(-elements // ELEMENTS_PER_SHARD)


def _kept(
    element: int, block: int, decided: np.ndarray, gone: Gone, outputs: _Outputs, context: CleaningContext
) -> pa.Table:
    """The rows of a block that stay, by the (D,) VERDICT of its documents, without their paragraphs of
    `gone`; the others are counted under their reason.
    """
    stored = block_store.read_block(context.folder, element, block)
    texts = block_store.read_texts(context.folder, element, block)
    index, fates = stored.index, decided["fate"]
    if gone:
        least = context.settings.min_characters
        index, texts, fates = _without(gone, stored, texts, fates, outputs.counts, least)
    stays = fates == verdicts.STAYS
    outputs.stays.append(stays)
    for number, source in enumerate(stored.sources):
        sizes = index["size"][stays & (index["source"] == number)]
        funnel.keep(outputs.counts[source], int(sizes.sum()), len(sizes))
    dropped: list[dict[str, Any]] = []
    for row in np.flatnonzero(~stays).tolist():
        entry, source, reason = index[row], stored.source(row), _REASONS[int(fates[row])]
        funnel.drop(outputs.counts[source], int(entry["raw"]), reason)
        outputs.files.drop(int(entry["file"]), reason)
        text = texts[int(entry["offset"]) : int(entry["offset"]) + int(entry["size"])].decode()
        detail = ""
        if fates[row] != _SHARED:
            dropped.append(
                duplicates.described((stored.names[row], source, reason), decided[row], outputs.names)
            )
            detail = duplicates.detail(dropped[-1])
        outputs.rejects.add(funnel.Reject(stored.names[row], source, reason, text, detail))
    if dropped:
        outputs.duplicates.write_table(pa.Table.from_pylist(dropped, duplicates.DUPLICATES))
        outputs.duplicated += len(dropped)
    offsets = np.append(index["offset"], len(texts)).astype(np.int32)
    columns = [
        pa.array(stored.names, pa.string()),
        pa.array(stored.sources, pa.string()).take(pa.array(index["source"])),
        pa.StringArray.from_buffers(len(index), pa.py_buffer(offsets), pa.py_buffer(texts)),
        pa.array(np.ascontiguousarray(decided["exact"])),
        pa.array(np.ascontiguousarray(decided["near"])),
    ]
    return pa.Table.from_arrays(columns, schema=DOCUMENTS).filter(pa.array(stays))


def _without(
    lines: Gone,
    stored: block_store.Block,
    texts: bytes,
    fates: np.ndarray,
    counts: dict[str, dict[str, Any]],
    least: int,
) -> tuple[np.ndarray, bytes, np.ndarray]:
    """Index, texts and fates of a block whose documents lose these lines, by number; one with fewer than
    `least` characters left goes.
    """
    index, fates = stored.index.copy(), fates.copy()
    each = [
        texts[offset : offset + size]
        for offset, size in zip(index["offset"].tolist(), index["size"].tolist(), strict=True)
    ]
    for row, gone in sorted(lines.items()):
        text = each[row].split(b"\n")
        left = b"\n".join(line for number, line in enumerate(text) if number not in gone)
        funnel.count_lines(
            counts[stored.source(row)], {"shared": (len(gone), sum(len(text[number]) for number in gone))}
        )
        if len("".join(left.decode().split())) < least:
            fates[row] = _SHARED
        else:
            each[row] = left
    index["size"] = [len(text) for text in each]
    index["offset"] = np.cumsum(index["size"], dtype=np.uint64) - index["size"]
    return index, b"".join(each), fates


def _add(path: str, rejects: funnel.Rejects) -> None:
    """Add the rejects of a file."""
    with paths.opened(path) as stream:
        file = pq.ParquetFile(stream)
        for batch in row_groups.batches(file, range(file.num_row_groups)):
            for row in batch.to_pylist():
                rejects.add(funnel.Reject(**row))


def _stem(folder: str, shard: int) -> str:
    return paths.join(folder, f"part-{shard:06d}")


def _file(stem: str, number: int) -> str:
    return f"{stem}-{number:04d}.parquet"


class _Shared:
    """What paragraphs go from the documents of a block; those of one batch are held."""

    def __init__(self, context: CleaningContext) -> None:
        self._blocks = block_store.Blocks(context.folder)
        self._held = lru_cache(1)(lambda batch: paragraphs.shared(batch, context))
        self._none = context.settings.max_paragraph_documents is None

    def of(self, element: int, block: int, size: int) -> Gone:
        """Of a block of so many documents."""
        if self._none:
            return {}
        number = block_store.document(element, block)
        first = int(self._blocks.counted(np.array([number], np.uint64))[0])
        taken = self._held(self._blocks.batch_of(number))
        return {count - first: lines for count, lines in taken.items() if first <= count < first + size}


class _ParquetFiles:
    """The Parquet files of one part: a new one after `_PART_BYTES` of text, none without rows."""

    def __init__(self, stem: str) -> None:
        self.number = 0  # of files begun
        self._stem = stem
        self._size = 0
        self._open = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _ParquetFiles:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def write(self, rows: pa.Table) -> None:
        """Add a row group."""
        if not len(rows):
            return
        if self._writer is None:
            stream = self._open.enter_context(paths.writing(_file(self._stem, self.number)))
            # Hardly any value stands twice; `row_groups` reads what has no dictionary faster.
            self._writer = self._open.enter_context(
                pq.ParquetWriter(stream, DOCUMENTS, compression="zstd", use_dictionary=False)
            )
            self.number += 1
        self._writer.write_table(rows, row_group_size=len(rows))
        self._size += rows["text"].nbytes
        if self._size >= _PART_BYTES:
            self._open.close()
            self._writer, self._size = None, 0
