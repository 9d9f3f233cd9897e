"""A vocabulary that somebody else made: a vocab.txt, or a transformers model directory."""

from __future__ import annotations

import logging
import re
from glob import escape
from pathlib import Path
from typing import NamedTuple

from mobilebert.errors import UserError
from mobilebert.tokenization import comparison, source_files
from mobilebert.tokenization.files import DESCRIPTION, MODEL, VOCABULARY, entries_of, load, read_vocabulary
from mobilebert.tokenization.source_files import ADDED, CONFIG, DESCRIBED, Casing
from mobilebert.tokenization.tokenizer import Tokenizer
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

PART = r"\.(index|meta|data-\d{5}-of-\d{5})$"  # how the files of a TF1 checkpoint end


class Source(NamedTuple):
    """What `files.write` takes: the kind, the bytes of vocab.txt or spm.model, casing and accents."""

    kind: str
    content: bytes
    lowercase: bool
    strip_accents: bool | None


def find(source: Path, lowercase: Casing = "auto") -> Source:
    """What a vocab.txt, a model directory or a TF1 checkpoint's folder (or prefix) holds, ready for
    `files.write`.

    A directory is asked in this order: a tokenizer of ours, `vocab.txt`, a WordPiece `tokenizer.json`.
    Casing and accents are what its own files say (`source_files.rules`); where it brings a tokenizer.json,
    the ids of both are compared on some texts.

    Args:
        source: where it lies.
        lowercase: `vocabulary.lowercase`; "auto" follows the source.

    Raises:
        UserError: neither is there, or it is of a kind that this project does not train with.
    """
    source = home(source)
    if source.is_dir() and (source / DESCRIPTION).is_file():
        return _ours(source, lowercase)
    if not source.exists():
        raise UserError(f"{source}: not there; name a vocab.txt or a transformers model directory")
    folder, path = (source.parent, source) if source.is_file() else (source, source / VOCABULARY)
    configured = described = None
    if source.is_dir():
        configured, described = (source_files.read_object(folder / name) for name in (CONFIG, DESCRIBED))
    if path.is_file():
        tokens = read_vocabulary(path)
        if described is not None:
            source_files.check_same_entries(tokens, described, folder / DESCRIBED)
        if b"\r\n" in path.read_bytes():
            logging.info("%s: its lines end in CR LF; they are written with LF", path)
    elif described is None:
        raise UserError(
            f"{source}: neither {VOCABULARY} nor {DESCRIBED} there; a teacher's directory must bring one of "
            f"them"
        )
    else:
        tokens = source_files.entries(described, folder / DESCRIBED)
    if source.is_dir():
        tokens = source_files.with_added(tokens, folder, configured or {}, described or {})
    rules = source_files.rules(source, tokens, configured or {}, described or {}, lowercase)
    ours = WordPieceTokenizer(tokens, rules.lowercase, str(path), rules.strip_accents)
    comparison.warn_of_unmet(ours, source)
    if described is not None:
        comparison.check(ours, described, folder / DESCRIBED)
    return Source("wordpiece", ("\n".join(tokens) + "\n").encode(), *rules)


def _ours(folder: Path, lowercase: Casing) -> Source:
    """A tokenizer that this project wrote; its casing is what it was written with."""
    tokenizer = load(folder)
    if lowercase not in ("auto", tokenizer.lowercase):
        raise UserError(
            f"vocabulary.lowercase: {lowercase}, but {folder / DESCRIPTION} says {tokenizer.lowercase}; "
            f"set it to auto"
        )
    content = (folder / (VOCABULARY if tokenizer.kind == "wordpiece" else MODEL)).read_bytes()
    return Source(tokenizer.kind, content, tokenizer.lowercase, getattr(tokenizer, "strip_accents", None))


def digest(folder: Path, known: Tokenizer) -> str:
    """`Tokenizer.digest` of a model directory of ours, or of any other that transformers opens.

    Args:
        folder: the directory.
        known: the tokenizer that it should have: what transformers saved again of it is recognised by its
            entries and ids, since spm.model does not go along.

    Raises:
        UserError: as `find`, or another vocabulary than `known` of a kind that only spm.model describes.
    """
    if (folder / DESCRIPTION).is_file():
        return load(folder).digest
    path = folder / DESCRIBED
    described = source_files.read_object(path)
    kind = ((described or {}).get("model") or {}).get("type")
    if described is not None and kind != "WordPiece" and not (folder / VOCABULARY).is_file():
        if comparison.is_same(known, described, path):
            return known.digest
        raise UserError(
            f"{path}: a {kind} vocabulary, and not the run's ({known.size} entries); copy spm.model and "
            f"vocabulary.json of the run that made this model into its folder to see what differs, or set "
            f"vocabulary.from to that run's tokenizer"
        )
    source = find(folder)
    made = WordPieceTokenizer(
        entries_of(source.content, folder / VOCABULARY), source.lowercase, str(folder), source.strip_accents
    )
    return made.digest


def files_of(source: Path) -> list[Path]:
    """The files there that `find` may read."""
    source = home(source)
    names = (DESCRIPTION, VOCABULARY, MODEL, DESCRIBED, CONFIG, ADDED)
    return [source] if source.is_file() else [source / name for name in names if (source / name).is_file()]


def home(source: Path) -> Path:
    """Where a model's files lie: the given place, the folder of a TF1 checkpoint given by its prefix or one
    of its files, or the one folder inside the given one that an archive unpacked to.
    """
    if re.search(PART, source.name):
        return source.parent
    if not source.exists():
        return source.parent if any(source.parent.glob(f"{escape(source.name)}.*")) else source
    if source.is_dir() and not any(path.is_file() for path in source.iterdir()):
        inner = [path for path in source.iterdir() if not path.name.startswith((".", "__"))]
        return inner[0] if len(inner) == 1 else source
    return source
