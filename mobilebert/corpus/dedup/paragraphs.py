"""Paragraphs that many documents share: notices, templates, introductions, which no list of phrases knows.

CCNet (Wenzek et al. 2020, section 3.1) compares paragraphs by 64-bit hashes of their small letters, digits as
0 and no punctuation, and drops those that were seen before in its 5 GB of pages. Here a paragraph is a line
of a cleaned text, its punctuation that of ASCII, and it goes from all documents if over
`corpus.max_paragraph_documents` of those that are left after deduplication have it: of a text with copies the
copies go, not its paragraphs.

Each batch of blocks counts the paragraphs of its documents, by partition of their hashes; each partition adds
the counts of all batches up, and tells every batch which of its paragraphs go. So a paragraph of a million
documents is one entry a batch, and what is told is never more than was counted.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

import numpy as np
import xxhash

from mobilebert.corpus.cleaning import CleaningContext
from mobilebert.corpus.dedup import block_store
from mobilebert.corpus.dedup.verdicts import STAYS, verdicts
from mobilebert.storage import paths

LEAST_BYTES = 30  # ten Han; shorter lines are headings, replies, verses, which many documents rightly share
_LINE = np.dtype([("hash", "<u8"), ("document", "<u8")])  # of a document by count
_COUNT = np.dtype([("hash", "<u8"), ("documents", "<u4"), ("batch", "<u4")])
_HASH = np.dtype("<u8")
_BATCHES_OF_A_PARTITION = 4  # whose paragraphs, of 30 bytes each, would take 64 MB
_FORMS = bytes.maketrans(
    string.ascii_uppercase.encode() + string.digits.encode(), string.ascii_lowercase.encode() + b"0" * 10
)
_LEFT_OUT = (string.punctuation + " ").encode()


def hashes(text: bytes) -> np.ndarray:
    """(L,) uint64: the hash of every line of a text in UTF-8; 0 where it has fewer than `LEAST_BYTES` of
    letters, digits and Han.
    """
    lines = text.translate(_FORMS, _LEFT_OUT).split(b"\n")
    made = np.frombuffer(b"".join(map(xxhash.xxh3_64_digest, lines)), ">u8").astype(_HASH)
    made[np.fromiter(map(len, lines), np.int64, len(lines)) < LEAST_BYTES] = 0
    return made


def partitions(context: CleaningContext) -> int:
    """How many parts the paragraphs of all documents are counted in."""
    return max(4, -(-block_store.Blocks(context.folder).batches // _BATCHES_OF_A_PARTITION))


def count(batch: int, context: CleaningContext) -> int:
    """Count in how many documents of a batch of blocks each paragraph stands; returns it.

    Writes the lines of the documents that stay (`lines-NNNNNN`, _LINE in their order) and the counts
    (`paragraphs-NNNNNN`, _COUNT by partition).
    """
    out = _file(context, "paragraphs", batch)
    if paths.exists(out):
        return batch  # by a run that was killed
    lines = np.concatenate([np.zeros(0, _LINE), *_lines(batch, context)])
    paths.write(_file(context, "lines", batch), lines.tobytes())
    lines = lines[np.argsort(lines["hash"], kind="stable")]  # a document's equal ones come together
    lines = lines[_changes(lines["hash"]) | _changes(lines["document"])]
    hash_, documents = np.unique(lines["hash"][lines["hash"] != 0], return_counts=True)
    entries = np.empty(len(hash_), _COUNT)
    entries["hash"], entries["documents"], entries["batch"] = hash_, documents, batch
    block_store.write_ranges(out, entries, hash_ % np.uint64(partitions(context)), partitions(context))
    return batch


def share(partition: int, context: CleaningContext) -> int:
    """Tell every batch which of its paragraphs too many documents have (`shared-NNNNNN`), of a partition;
    returns it.
    """
    out = _file(context, "shared", partition)
    if paths.exists(out):
        return partition
    batches = block_store.Blocks(context.folder).batches
    files = (_file(context, "paragraphs", batch) for batch in range(batches))
    entries = block_store.read_ranges(files, partition, partitions(context), _COUNT)
    entries = entries[np.argsort(entries["hash"])]
    which = np.cumsum(_changes(entries["hash"])) - 1
    total = np.bincount(which, entries["documents"])
    frequent = entries[total[which] > (context.settings.max_paragraph_documents or 0)]
    block_store.write_ranges(out, frequent["hash"], frequent["batch"], batches)
    return partition


def shared(batch: int, context: CleaningContext) -> dict[int, set[int]]:
    """The lines, by number, that go from each document of a batch, by count, that has some."""
    files = (_file(context, "shared", partition) for partition in range(partitions(context)))
    gone = block_store.read_ranges(files, batch, block_store.Blocks(context.folder).batches, _HASH)
    lines = np.frombuffer(paths.read(_file(context, "lines", batch)), _LINE)
    positions = np.flatnonzero(np.isin(lines["hash"], gone))
    document = lines["document"][positions]
    taken: dict[int, set[int]] = {}
    for count, line in zip(
        document.tolist(), (positions - np.searchsorted(lines["document"], document)).tolist(), strict=True
    ):
        taken.setdefault(count, set()).add(line)
    return taken


def _lines(batch: int, context: CleaningContext) -> Iterator[np.ndarray]:
    """(L,) _LINE of the documents of each block of a batch that stay."""
    numbers, first, end = block_store.Blocks(context.folder).batch(batch)
    fates = verdicts(first, end, context)["fate"]
    for number in numbers:
        element, block, _ = block_store.position_of(number)
        index, texts = (
            block_store.read_index(context.folder, element, block),
            block_store.read_texts(context.folder, element, block),
        )
        stays = np.flatnonzero(fates[: len(index)] == STAYS)
        each = [texts[offset : offset + size] for offset, size, *_ in index[stays].tolist()]
        if each:
            made = hashes(b"\n".join(each))
            lines = np.empty(len(made), _LINE)
            lines["hash"], lines["document"] = (
                made,
                np.repeat(stays + first, [text.count(b"\n") + 1 for text in each]),
            )
            yield lines
        first, fates = first + len(index), fates[len(index) :]


def _changes(values: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the values differ from the one before."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _file(context: CleaningContext, name: str, number: int) -> str:
    return paths.join(context.folder, f"{name}-{number:06d}")
