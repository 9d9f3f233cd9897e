"""Test texts that must not be in the corpus: documents that hold one of them, or a good part of one, are
dropped.

A document is compared by 13-grams, as GPT-3 was (Brown et al. 2020, appendix C; characters instead of words,
without punctuation, in small letters, Traditional as Simplified). GPT-3 and FineWeb drop on any common
n-gram; in Chinese one 13-gram of characters is but a long name ("中华人民共和国全国人民代表大会"), so here a
document falls when it holds `corpus.max_contamination` of any one test text's 13-grams.

The texts are looked up in sorted arrays of the work folder, which every worker maps into its memory: nothing
travels with the documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mobilebert.corpus.readers import streams
from mobilebert.corpus.sources import discovery
from mobilebert.errors import UserError
from mobilebert.settings import SMALL_WORLD
from mobilebert.storage import paths
from mobilebert.text import decode, document

# A text of fewer 13-grams is a phrase that anyone might write: two labels, an id, half a sentence.
MIN_GRAMS = 8
_GRAM = np.dtype([("hash", "<u8"), ("text", "<u4")])
_TEXT = np.dtype([("grams", "<u4"), ("file", "<u4")])
_HASHES, _OWNERS, _TEXTS, _NAMES = "test-hashes", "test-owners", "test-texts", "test-names.json"
_BATCH_CHARACTERS = 1_000_000
_SLOTS_A_GRAM = 16  # of the first look-up: one in 16 foreign 13-grams needs the second


def files(named: Sequence[str], world: Path | None) -> list[Path]:
    """The files that `corpus.decontaminate` names: paths, folders and globs; `small_world` stands for the dev
    files of its tasks.

    Raises:
        UserError: a name without a file.
    """
    test_files: list[Path] = []
    for name in named:
        if name == SMALL_WORLD:
            if world is None:
                raise UserError(
                    "corpus.decontaminate: small_world is named, but there is no small world; give it with "
                    "--test-world"
                )
            mine = sorted(world.glob("tasks/*/dev.*"))
        else:
            mine = [Path(path) for path in discovery.find(name).files]
        if not mine:
            raise UserError(
                f"corpus.decontaminate: {name}: no such file; name the test files, or take it off the list"
            )
        test_files += mine
    return test_files


def digests(files: Iterable[Path]) -> list[dict[str, str]]:
    """What shapes the work: each file's name and SHA-256."""
    return [{"name": _name(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in files]


def write(files: Sequence[Path], folder: str) -> None:
    """Write the look-up tables of the test files into a work folder.

    Raises:
        UserError: a file cannot be read, or none has a text that is long enough.
    """
    grams: list[np.ndarray] = []
    texts: list[np.ndarray] = []
    for number, path in enumerate(files):
        for batch in _batches(_texts(path)):
            mine, sizes = _grams(batch)
            mine["text"] += sum(map(len, texts))
            grams.append(mine)
            texts.append(np.array([(size, number) for size in sizes.tolist()], _TEXT))
    if not sum(map(len, texts)):
        raise UserError(
            f"corpus.decontaminate: no text of {document.WORDING_N + MIN_GRAMS - 1} characters or more in "
            f"{', '.join(map(str, files))}"
        )
    entries = np.concatenate(grams)
    entries = entries[np.argsort(entries["hash"], kind="stable")]
    paths.write(paths.join(folder, _HASHES), entries["hash"].tobytes())
    paths.write(paths.join(folder, _OWNERS), entries["text"].tobytes())
    paths.write(paths.join(folder, _TEXTS), np.concatenate(texts).tobytes())
    paths.write(paths.join(folder, _NAMES), json.dumps([_name(path) for path in files]).encode())


class TestTexts:
    """The look-up tables; 12 bytes a 13-gram, mapped from the work folder where that is local."""

    def __init__(self, folder: str) -> None:
        self._hashes = _array(paths.join(folder, _HASHES), np.dtype("<u8"))
        self._owners = _array(paths.join(folder, _OWNERS), np.dtype("<u4"))
        self._texts = _array(paths.join(folder, _TEXTS), _TEXT)
        self._names = json.loads(paths.read(paths.join(folder, _NAMES)))
        self._shift = np.uint64(64 - min(26, (len(self._hashes) * _SLOTS_A_GRAM).bit_length()))
        self._slots = np.zeros(1 << (64 - int(self._shift)), bool)
        self._slots[self._hashes >> self._shift] = True

    def match(self, wording: np.ndarray, most: float) -> str | None:
        """The name of the file that the document has a text of: over `most` of its 13-grams; the first of
        several.

        Args:
            wording: (M,) uint64 hashes of the document's 13-grams.
        """
        near = wording[self._slots[wording >> self._shift]]
        if not len(near):
            return None
        near = np.unique(near)
        starts = np.searchsorted(self._hashes, near, "left")
        sizes = np.searchsorted(self._hashes, near, "right") - starts
        at = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        owner, shared = np.unique(self._owners[at], return_counts=True)
        matches = owner[shared > most * self._texts["grams"][owner]]
        return self._names[self._texts["file"][matches[0]]] if len(matches) else None


@lru_cache(1)
def test_texts(folder: str) -> TestTexts:
    """The tables of a work folder, once a process."""
    return TestTexts(folder)


def _grams(batch: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(M,) _GRAM: the different 13-grams of the texts that are long enough, which are counted from 0; and
    (T,) int64 how many each has.
    """
    hashes, bounds = document.Documents(batch).wording
    owner = np.repeat(np.arange(len(batch)), np.diff(bounds))
    order = np.lexsort((hashes, owner))
    hashes, owner = hashes[order], owner[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
    hashes, owner = hashes[new], owner[new]
    sizes = np.bincount(owner, minlength=len(batch))
    long = sizes >= MIN_GRAMS
    mine = np.zeros(int(sizes[long].sum()), _GRAM)
    mine["hash"] = hashes[long[owner]]
    mine["text"] = (np.cumsum(long) - 1)[owner[long[owner]]]
    return mine, sizes[long]


def _name(path: Path) -> str:
    """What is told of a test file: not where it lies on this machine."""
    return f"{path.parent.name}/{path.name}"


def _array(path: str, kind: np.dtype[Any]) -> np.ndarray:
    return np.memmap(path, kind, "r") if paths.is_local(path) else np.frombuffer(paths.read(path), kind)


def _texts(path: Path) -> Iterator[str]:
    """All texts of a file: every string of a JSON or JSONL file, every cell of tab-separated columns,
    every line of any other.
    """
    try:
        decoded = decode.decode(streams.read_document(str(path)))
    except streams.Unreadable as error:
        raise UserError(f"corpus.decontaminate: {path}: {error}") from None
    if decoded.text is None:
        raise UserError(f"corpus.decontaminate: {path}: its encoding is not known; convert the file to UTF-8")
    name = path.name.lower()
    try:
        if ".json" in name:
            yield from _strings(_values(decoded.text))
        else:
            for line in decoded.text.split("\n"):
                yield from line.split("\t")
    except (ValueError, RecursionError) as error:
        raise UserError(f"corpus.decontaminate: {path}: no JSON, though its name says so: {error}") from None


def _values(text: str) -> Any:
    """What a JSON file holds; several objects, a line each, stand in .jsonl and in many a test file's
    .json.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text.replace("\0", ""))
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
