"""A vocabulary that somebody else made: a vocab.txt, or a transformers model directory."""

from __future__ import annotations

import json
import re
from glob import escape
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.tokenization.files import DESCRIPTION, MODEL, VOCABULARY, load, read_vocabulary

PART = r"\.(index|meta|data-\d{5}-of-\d{5})$"  # how the files of a TF1 checkpoint end
Found = tuple[str, bytes, bool]  # (kind, bytes of vocab.txt or spm.model, lower-case)


def find(source: Path) -> Found:
    """What a vocab.txt, a model directory or a TF1 checkpoint's folder (or prefix) holds, ready for
    `files.write`.

    A directory is asked in this order: a tokenizer of ours, `vocab.txt`, a WordPiece `tokenizer.json`. Its
    casing is what `tokenizer_config.json` or `tokenizer.json` says; without either, text is lower-cased when
    no entry has a capital letter.

    Raises:
        UserError: neither is there, or it is of a kind that this project does not train with.
    """
    source = home(source)
    if source.is_file():
        return "wordpiece", source.read_bytes(), _without_capitals(read_vocabulary(source))
    if not source.is_dir():
        raise UserError(f"{source}: not there; name a vocab.txt or a transformers model directory")
    if (source / DESCRIPTION).is_file():
        ours = load(source)
        return (
            ours.kind,
            (source / (VOCABULARY if ours.kind == "wordpiece" else MODEL)).read_bytes(),
            ours.lowercase,
        )
    described = _json(source / "tokenizer.json")
    path = source / VOCABULARY
    if path.is_file():
        tokens, content = read_vocabulary(path), path.read_bytes()
    elif described is None:
        raise UserError(
            f"{source}: neither {VOCABULARY} nor tokenizer.json there; a teacher's directory must bring "
            f"one of them"
        )
    else:
        tokens = _entries(described, source / "tokenizer.json")
        content = ("\n".join(tokens) + "\n").encode()
    configured = (_json(source / "tokenizer_config.json") or {}).get("do_lower_case")
    if configured is None and described is not None:
        configured = (described.get("normalizer") or {}).get("lowercase")
    return "wordpiece", content, _without_capitals(tokens) if configured is None else bool(configured)


def files_of(source: Path) -> list[Path]:
    """The files there that `find` may read."""
    source = home(source)
    names = (DESCRIPTION, VOCABULARY, MODEL, "tokenizer.json", "tokenizer_config.json")
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


def _entries(described: dict[str, Any], path: Path) -> list[str]:
    """The entries of a WordPiece tokenizer.json by id."""
    model = described.get("model") or {}
    if model.get("type") != "WordPiece":
        raise UserError(
            f"{path}: its model is '{model.get('type')}', expected WordPiece (BERT's); give a teacher "
            f"with "
            f"a BERT vocabulary"
        )
    by_id = {id: token for token, id in model["vocab"].items()}
    by_id |= {token["id"]: token["content"] for token in described.get("added_tokens", [])}
    missing = sorted(set(range(len(by_id))) - set(by_id))
    if missing or any("\n" in token for token in by_id.values()):
        raise UserError(
            f"{path}: its ids do not run from 0 to {len(by_id) - 1} (no {missing[:3]}), or a token "
            f"holds a "
            f"line end"
        )
    return [by_id[id] for id in range(len(by_id))]


def _without_capitals(tokens: list[str]) -> bool:
    """Whether only entries in brackets, the special ones, hold ASCII capitals: then the vocabulary was
    made from small letters.
    """
    return not any(
        c in token
        for token in tokens
        if token[:1] + token[-1:] not in ("[]", "<>")
        for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict):
            raise ValueError("not a JSON object")
        return body
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
