"""Stage 2: what is left of the cleaned blocks becomes Parquet; counts and samples of rejects come together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mobilebert.corpus import funnel, store
from mobilebert.corpus.clean import REJECTS, Work
from mobilebert.corpus.duplicates import DROP

DOCUMENTS = pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.string())])
ELEMENTS_PER_PART = 8
_PART_BYTES = 64_000_000  # of text; an element that is one large compressed file gives several parts


def write_part(part: int, elements: Iterable[int], dropped: Iterable[bytes], work: Work) -> None:
    """Write the documents of some elements that stay, and what became of the others, into the work folder.

    `part-NNNNNN-NNNN.parquet` (a row group a block), `part-NNNNNN.rejects` (Parquet), `part-NNNNNN.json` ({source: counts as in
    funnel.json}).
    """
    drops = np.concatenate([np.zeros(0, DROP), *(np.frombuffer(data, DROP) for data in dropped)])
    reasons = dict(
        zip(drops["document"].tolist(), ["exact_duplicate" if exact else "near_duplicate" for exact in drops["exact"]], strict=True)
    )
    counts: dict[str, dict[str, Any]] = {}
    rejects = funnel.Rejects(work.settings.rejects_per_reason)
    with _Parts(work.folder, part) as parts:
        for element in sorted(elements):
            summary = json.loads((work.folder / f"{element:06d}.json").read_text(encoding="utf-8"))
            for source, found in summary["sources"].items():
                funnel.merge(counts.setdefault(source, funnel.new()), found)
            for row in pq.read_table(work.folder / f"{element:06d}.rejects").to_pylist():
                rejects.add(funnel.Reject(**row))
            for block in range(summary["blocks"]):
                parts.write(_kept(element, block, reasons, counts, rejects, work))
    table = pa.Table.from_pylist([reject._asdict() for reject in rejects.rows()], REJECTS)
    store.write(work.folder / f"part-{part:06d}.rejects", lambda path: pq.write_table(table, path, compression="zstd"))
    store.write(
        work.folder / f"part-{part:06d}.json", lambda path: path.write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    )


def collect(folder: Path, sources: Iterable[str], most: int | str) -> tuple[dict[str, dict[str, Any]], list[Path], pa.Table | list[Path]]:
    """What all parts left in the work folder.

    Returns:
        Counts by source; the Parquet files of documents in order; the sample of rejects as a table, or its files when all are kept.
    """
    counts = {source: funnel.new() for source in sources}
    rejects = funnel.Rejects(most)
    for path in sorted(folder.glob("part-*.json")):
        for source, found in json.loads(path.read_text(encoding="utf-8")).items():
            funnel.merge(counts.setdefault(source, funnel.new()), found)
    for entry in counts.values():
        for name in ("reasons", "lines"):
            entry[name] = dict(sorted(entry[name].items()))
    parts = sorted(folder.glob("part-*-*.parquet"))
    rejected = sorted(folder.glob("part-*.rejects"))
    if isinstance(most, str):
        return counts, parts, [path for path in rejected if pq.read_metadata(path).num_rows]
    for path in rejected:
        for row in pq.read_table(path).to_pylist():
            rejects.add(funnel.Reject(**row))
    return counts, parts, pa.Table.from_pylist([reject._asdict() for reject in rejects.rows()], REJECTS)


def _kept(
    element: int, block: int, reasons: dict[int, str], counts: dict[str, dict[str, Any]], rejects: funnel.Rejects, work: Work
) -> list[dict[str, str]]:
    """The rows of a block that stay; the others are counted under their reason."""
    held = store.read_block(work.folder, element, block)
    texts = store.read_texts(work.folder, element, block)
    first = store.document(element, block)
    rows = []
    for place, entry in enumerate(held.index):
        source = held.source(place)
        start, size = int(entry["offset"]), int(entry["size"])
        text = texts[start : start + size].decode()
        reason = reasons.get(first + place)
        if reason is None:
            funnel.keep(counts[source], size)
            rows.append({"id": held.names[place], "source": source, "text": text})
        else:
            funnel.drop(counts[source], int(entry["raw"]), reason)
            rejects.add(funnel.Reject(held.names[place], source, reason, text))
    return rows


class _Parts:
    """The Parquet files of one part: a new one after `_PART_BYTES` of text, none without rows."""

    def __init__(self, folder: Path, part: int) -> None:
        self._stem = folder / f"part-{part:06d}"
        self._number = 0
        self._size = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._close(whole=kind is None)

    def write(self, rows: list[dict[str, str]]) -> None:
        """Add a row group."""
        if not rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(f"{self._path()}.partial", DOCUMENTS, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(rows, DOCUMENTS), row_group_size=len(rows))
        self._size += sum(len(row["text"]) for row in rows) * 3
        if self._size >= _PART_BYTES:
            self._close()

    def _path(self) -> str:
        return f"{self._stem}-{self._number:04d}.parquet"

    def _close(self, whole: bool = True) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if whole:
            Path(f"{self._path()}.partial").replace(self._path())
        self._writer, self._size, self._number = None, 0, self._number + 1
