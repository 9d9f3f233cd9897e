"""What is told of duplicates: which document each went for, how similar it is, and the largest groups."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store, other_corpora, verdicts

# A dropped document, its reason, the one that it went for and the Jaccard similarity of their 5-grams;
# `corpus` is empty where that one is of this corpus, else the digest of the other one's manifest.
DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("similarity", pa.float32()),
        ("survivor", pa.string()),
        ("survivor_source", pa.string()),
        ("corpus", pa.string()),
    ]
)
LARGEST = 10  # groups that funnel.json shows
_BEGINNING = 200  # characters of the survivor's text
_BLOCKS = 16  # whose names are kept
_ROWS = 65_536  # of the table that are looked through at once


class Names:
    """The ids and sources of documents by their number in the verdicts."""

    def __init__(self, context: CleaningContext) -> None:
        self._blocks = block_store.Blocks(context.folder)
        self._block = lru_cache(_BLOCKS)(
            lambda element, block: block_store.read_block(context.folder, element, block)
        )
        self._others = other_corpora.OtherCorpora(context.settings.against)

    def of(self, survivor: int) -> tuple[str, str, str]:
        """Id, source and corpus, as in DUPLICATES."""
        if survivor & int(verdicts.OTHERS):
            return self._others.name(survivor)
        element, block, position = block_store.position_of(self._blocks.number(survivor))
        stored = self._block(element, block)
        return stored.names[position], stored.source(position), ""


def described(reject: tuple[str, str, str], verdict: np.void, names: Names) -> dict[str, Any]:
    """The row of DUPLICATES of a dropped document (id, source, reason)."""
    identifier, source, reason = reject
    survivor, survivor_source, corpus = names.of(int(verdict["survivor"]))
    return {
        "id": identifier,
        "source": source,
        "reason": reason,
        "similarity": float(verdict["similarity"]),
        "survivor": survivor,
        "survivor_source": survivor_source,
        "corpus": corpus,
    }


def detail(row: dict[str, Any]) -> str:
    """What a reject says of it: the survivor and the similarity."""
    corpus = f" of the corpus {row['corpus']}" if row["corpus"] else ""
    return f"{row['survivor_source']}: {row['survivor']}{corpus}, similarity {row['similarity']:.3f}"


def largest(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `LARGEST` groups, by their size and then by their document's name."""
    return heapq.nsmallest(
        LARGEST, groups, key=lambda group: (-group["exact"] - group["near"], group["source"], group["id"])
    )


def groups(rows: pa.Table, most: int = LARGEST) -> list[dict[str, Any]]:
    """Of documents that stay, those with the most copies: id, source, `exact` and `near` copies, and the
    beginning of the text.

    Args:
        rows: of a block, as they stand in the corpus.
        most: how many.
    """
    sizes = rows["exact_copies"].to_numpy() + rows["near_copies"].to_numpy()
    chosen = np.argsort(-sizes.astype(np.int64), kind="stable")[:most]
    return [
        {
            "id": row["id"],
            "source": row["source"],
            "exact": row["exact_copies"],
            "near": row["near_copies"],
            "text": row["text"][:_BEGINNING],
        }
        for row in rows.take(pa.array(chosen[sizes[chosen] > 0])).to_pylist()
    ]


def with_sources(groups: list[dict[str, Any]], table: Path) -> list[dict[str, Any]]:
    """The groups with `sources`, how many of the copies each source has, by a folder of DUPLICATES."""
    counted = {(group["source"], group["id"]): Counter[str]() for group in groups}
    survivors = pa.array({name for _, name in counted}, pa.string())
    for path in sorted(table.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(
            _ROWS, columns=["source", "survivor", "survivor_source", "corpus"]
        ):
            for row in batch.filter(pc.is_in(batch["survivor"], survivors)).to_pylist():
                survivor = (row["survivor_source"], row["survivor"])
                if survivor in counted and not row["corpus"]:
                    counted[survivor][row["source"]] += 1
    return [
        group | {"sources": dict(sorted(counted[group["source"], group["id"]].items()))} for group in groups
    ]
