"""The tokenizer's files in an artifact or a model directory: written, loaded, copied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from mobilebert.tokenization import huggingface
from mobilebert.tokenization.learned import SentencePieceTokenizer
from mobilebert.tokenization.tokenizer import SPECIAL, Tokenizer
from mobilebert.tokenization.wordpiece import WordPieceTokenizer

DESCRIPTION = "vocabulary.json"
VOCABULARY = "vocab.txt"
MODEL = "spm.model"
# Every file that a tokenizer may consist of.
FILES = (DESCRIPTION, VOCABULARY, MODEL, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def load(folder: Path | str) -> Tokenizer:
    """The tokenizer of a tokenizer artifact or of a model directory of ours.

    Raises:
        UserError: a file is missing or is not what it should be.
    """
    folder = Path(folder)
    description = _description(folder / DESCRIPTION)
    path = _existing(folder / (VOCABULARY if description["kind"] == "wordpiece" else MODEL))
    made = _made(description["kind"], path, description["lowercase"], description["strip_accents"])
    if made.size != description["size"]:
        raise UserError(
            f"{folder}: {made.size} tokens, but {DESCRIPTION} says {description['size']}; the files do "
            f"not "
            f"belong together"
        )
    return made


def write(
    writer: artifacts.Writer, kind: str, content: bytes, lowercase: bool, strip_accents: bool | None = None
) -> Tokenizer:
    """Write a tokenizer's files: `content` is that of a vocab.txt or spm.model.

    A vocab.txt is written with line ends of "\\n" alone and without a byte order mark: programs that split at
    "\\n" would take what else stands there for a character of the entries.

    Returns:
        the tokenizer.
    """
    path = writer.path(VOCABULARY if kind == "wordpiece" else MODEL)
    if kind == "wordpiece":
        content = ("\n".join(entries_of(content, path)) + "\n").encode("utf-8")
    path.write_bytes(content)
    made = _made(kind, path, lowercase, strip_accents)
    ids = dict(zip(("pad", "unk", "cls", "sep", "mask"), made.special_ids, strict=True))
    body = {"kind": kind, "size": made.size, "lowercase": lowercase} | ids
    if strip_accents not in (None, lowercase):
        body["strip_accents"] = strip_accents
    writer.json(DESCRIPTION, body)
    huggingface.write(writer.folder, made)
    writer.counts = {"tokens": made.size}
    return made


def _made(kind: str, path: Path, lowercase: bool, strip_accents: bool | None) -> Tokenizer:
    if kind == "wordpiece":
        return WordPieceTokenizer(read_vocabulary(path), lowercase, str(path), strip_accents)
    return SentencePieceTokenizer(path, lowercase)


def copy_files(folder: Path | str, writer: artifacts.Writer) -> None:
    """Copy a tokenizer's files, not the manifest, into another artifact, a model directory say."""
    load(folder)
    for name in FILES:
        if (Path(folder) / name).is_file():
            shutil.copyfile(Path(folder) / name, writer.path(name))


def read_vocabulary(path: Path) -> list[str]:
    """The entries of a vocab.txt by id (`entries_of`).

    Raises:
        UserError: the file is missing, not UTF-8, or has no special tokens.
    """
    return entries_of(_existing(path).read_bytes(), path)


def entries_of(content: bytes, path: Path) -> list[str]:
    """The entries in the bytes of a vocab.txt by id. Lines end at "\\n" or "\\r\\n" alone: two entries of
    Google's Chinese vocabulary hold U+2028.

    Args:
        content: the bytes.
        path: their file, for messages.

    Raises:
        UserError: not UTF-8, or not each special token once.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 at byte {error.start}; a vocab.txt holds one token a line in UTF-8"
        ) from None
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    missing = [token for token in SPECIAL if token not in lines]
    if missing:
        raise UserError(
            f"{path}: no {', '.join(missing)} among its {len(lines)} lines; BERT's vocab.txt has "
            f"{', '.join(SPECIAL)}"
        )
    if twice := [token for token in SPECIAL if lines.count(token) > 1]:
        raise UserError(f"{path}: {', '.join(twice)} stands there more than once; leave one line of it")
    return lines


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: missing; a tokenizer has {DESCRIPTION} and {VOCABULARY} or {MODEL}")
    return path


def _description(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(_existing(path).read_text(encoding="utf-8"))
        if body["kind"] not in ("wordpiece", "sentencepiece"):
            raise ValueError(f"kind '{body['kind']}' is unknown")
        known = {"kind": body["kind"], "size": int(body["size"]), "lowercase": bool(body["lowercase"])}
        return known | {"strip_accents": body.get("strip_accents")}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a tokenizer's description ({error})") from None
