"""Stage 1: read, decode, normalise, apply line rules and filters, hash; one element at a time, blocks to
disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mobilebert.corpus import decontamination, file_counts, funnel
from mobilebert.corpus.dedup import block_store, minhash
from mobilebert.corpus.plan import Element, FileRange
from mobilebert.corpus.readers import by_format, streams
from mobilebert.corpus.readers.document import RawDocument
from mobilebert.errors import UserError
from mobilebert.settings import Corpus
from mobilebert.storage import paths
from mobilebert.text import document, filters, lines, script, sensitive
from mobilebert.text.normalise import normalise_all
from mobilebert.text.whatwg import REPLACEMENT

_BATCH_CHARACTERS = 50_000  # few enough for their measures to stay in the processor's cache
# characters that a document counts for beside its text: its measures take 2.4 kB, and a file may hold
# millions of empty ones
_EACH = 10
REJECTS = pa.schema([(name, pa.string()) for name in funnel.Reject._fields])


@dataclass(frozen=True)
class CleaningContext:
    """What every worker needs to know; small, it travels with each function."""

    settings: Corpus
    folder: str  # work folder that all workers see, a place
    block_bytes: int  # of cleaned text in a block


@dataclass
class _Gathered:
    """The cleaned documents of the block being filled."""

    texts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    raw: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    size: int = 0


def clean_element(element: Element, context: CleaningContext) -> tuple[int, list[int]]:
    """Clean the documents of an element, if a run that was killed has not done it.

    Writes its blocks, band keys, `NNNNNN.rejects` (Parquet) and at last `NNNNNN.json` ({"blocks": how many
    documents each has, "sources": counts as in funnel.json, "files": counts by file}).

    Returns:
        The element's number, and how many documents each of its blocks has.

    Raises:
        UserError: a file cannot be read and `corpus.on_error` is `stop`.
    """
    stem = paths.join(context.folder, f"{element.number:06d}")
    if not paths.exists(f"{stem}.json"):
        _clean(element, context, stem)
    return element.number, json.loads(paths.read(f"{stem}.json"))["blocks"]


def _clean(element: Element, context: CleaningContext, stem: str) -> None:
    counts: dict[str, dict[str, Any]] = {}
    files = file_counts.Files()
    with writing_rejects(f"{stem}.rejects", context.settings.rejects_per_reason) as rejects:
        blocks = _cleaned_blocks(element, counts, files, rejects, context)
    body = {"blocks": blocks, "sources": counts, "files": files.counts}
    paths.write(f"{stem}.json", json.dumps(body, ensure_ascii=False).encode())


@contextmanager
def writing_rejects(path: str, most: int | str) -> Iterator[funnel.Rejects]:
    """Rejects that are written to a Parquet file of REJECTS."""
    with paths.writing(path) as stream, pq.ParquetWriter(stream, REJECTS, compression="zstd") as writer:
        rejects = funnel.Rejects(
            most,
            lambda rows: writer.write_table(pa.Table.from_pylist([row._asdict() for row in rows], REJECTS)),
        )
        yield rejects
        rejects.flush()


def _cleaned_blocks(
    element: Element,
    counts: dict[str, dict[str, Any]],
    files: file_counts.Files,
    rejects: funnel.Rejects,
    context: CleaningContext,
) -> list[int]:
    """Write the blocks of an element; how many documents each has."""
    blocks: list[int] = []
    gathered = _Gathered()
    for file_range in element.ranges:
        mine = counts.setdefault(file_range.source, funnel.new())
        for raw_document, text, size in _judged(file_range, mine, files, rejects, context):
            gathered.texts.append(text)
            gathered.names.append(raw_document.name)
            gathered.sources.append(file_range.source)
            gathered.raw.append(size)
            gathered.files.append(file_range.ordinal)
            gathered.size += 3 * len(text)
            if gathered.size >= context.block_bytes or len(gathered.texts) == block_store.TOGETHER:
                blocks.append(_write(element.number, len(blocks), gathered, context))
                gathered = _Gathered()
    if gathered.texts:
        blocks.append(_write(element.number, len(blocks), gathered, context))
    return blocks


def stopped(file: str, why: str) -> UserError:
    """What stops the run when `corpus.on_error` is `stop`."""
    return UserError(
        f"{file}: {why}; mend or remove the file, or set corpus.on_error to skip to count such files and "
        f"go on"
    )


def _readable(
    file_range: FileRange, counts: dict[str, Any], files: file_counts.Files, settings: Corpus
) -> Iterator[RawDocument]:
    """The documents of a piece; a file that cannot be read (further) is named, or stops the run."""
    try:
        yield from by_format.documents(file_range)
    except streams.Unreadable as error:
        if settings.on_error == "stop":
            raise stopped(file_range.reference, str(error)) from None
        counts["unreadable"].append({"file": file_range.reference, "why": str(error)})
        files.of(file_range.ordinal)["unreadable"] = str(error)


def _judged(
    file_range: FileRange,
    counts: dict[str, Any],
    files: file_counts.Files,
    rejects: funnel.Rejects,
    context: CleaningContext,
) -> Iterator[tuple[RawDocument, str, int]]:
    """The documents of a piece that stay, with their cleaned texts and raw sizes; what is dropped is
    counted and, by sample, kept.
    """
    settings = context.settings
    for batch in _batches(_readable(file_range, counts, files, settings)):
        cleaned = _cleaned(
            ["" if raw_document.reason else raw_document.text for raw_document in batch], counts, settings
        )
        scripts = script.names(cleaned)
        texts = list(map(script.simplify, cleaned, scripts)) if settings.script == "simplify" else cleaned
        documents = document.Documents(texts)
        reasons = filters.judge(documents, settings)
        cantonese = filters.is_cantonese(documents).tolist()
        for index, (raw_document, text) in enumerate(zip(batch, documents.texts, strict=True)):
            reason, detail = raw_document.reason or reasons[index], raw_document.detail
            if reason is None and settings.decontaminate:
                tests = decontamination.test_texts(context.folder)
                detail = tests.match(documents.wording_of(index), settings.max_contamination) or ""
                reason = "contaminated" if detail else None
            if (
                reason is None
                and scripts[index] == script.TRADITIONAL
                and settings.script == "drop_traditional"
            ):
                reason = "traditional"
            if reason in (None, "traditional"):
                funnel.count_script(counts, scripts[index], script.changes(cleaned[index], text))
            size = _size(raw_document)
            funnel.count(counts, size, reason)
            if cantonese[index]:
                funnel.count_cantonese(counts, size)
            files.add(file_range.ordinal, raw_document, reason)
            if reason is None:
                if settings.mask_sensitive:  # not before: rows of zeros would be judged
                    text, masked = sensitive.mask(text)
                    funnel.count_masked(counts, masked)
                yield raw_document, text, size
            else:
                rejects.add(
                    funnel.Reject(raw_document.name, file_range.source, reason, raw_document.text, detail)
                )


def _batches(documents: Iterator[RawDocument]) -> Iterator[list[RawDocument]]:
    """Documents that are measured together."""
    batch: list[RawDocument] = []
    size = 0
    for raw_document in documents:
        batch.append(raw_document)
        size += len(raw_document.text) + _EACH
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cleaned(texts: list[str], counts: dict[str, Any], settings: Corpus) -> list[str]:
    cleaned: list[str] = []
    for normalised in normalise_all(texts):
        if lost := normalised.count(REPLACEMENT):
            funnel.count_replaced(counts, 1, lost)
        text, dropped = lines.clean(normalised, settings.max_line_repeats)
        funnel.count_lines(counts, dropped)
        cleaned.append(text)
    return cleaned


def _write(element: int, block: int, gathered: _Gathered, context: CleaningContext) -> int:
    """Write a block and the keys of its documents; how many these are."""
    encoded = [text.encode() for text in gathered.texts]
    index = np.zeros(len(encoded), block_store.INDEX)
    index["size"] = [len(data) for data in encoded]
    index["offset"] = np.cumsum(index["size"], dtype=np.uint64) - index["size"]
    index["raw"] = gathered.raw
    index["file"] = gathered.files or 0
    sources = sorted(set(gathered.sources))
    index["source"] = [sources.index(source) for source in gathered.sources]
    block_store.write_block(context.folder, element, block, encoded, index, gathered.names, sources)

    digests = (
        np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, encoded)), ">u8").reshape(-1, 2).astype(np.uint64)
    )
    numbers = block_store.document(element, block) + np.arange(len(encoded), dtype=np.uint64)
    ranks = block_store.ranks(np.array([len(text) for text in gathered.texts]), digests[:, 0])
    keys = _keys(digests[:, 1] | block_store.OF_TEXT, ranks, numbers)
    if context.settings.near_duplicates:
        owners, band = minhash.band_keys(gathered.texts)
        keys = np.concatenate([keys, _keys(band & ~block_store.OF_TEXT, ranks[owners], numbers[owners])])
    block_store.write_keys(context.folder, element, block, keys)
    return len(encoded)


def _keys(key: np.ndarray, rank: np.ndarray, document: np.ndarray) -> np.ndarray:
    entries = np.empty(len(key), block_store.KEY)
    entries["key"], entries["rank"], entries["document"] = key, rank, document
    return entries


def _size(raw_document: RawDocument) -> int:
    """UTF-8 bytes of a raw document."""
    return (
        len(raw_document.text.encode("utf-8", "surrogatepass"))
        if raw_document.size is None
        else raw_document.size
    )
