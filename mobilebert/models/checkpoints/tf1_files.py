"""Finding the files of an original TF1 release, which people name and unpack in several ways."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from mobilebert.errors import UserError
from mobilebert.tokenization import importing

EXPECTED = (
    "bert_model.ckpt.index, bert_model.ckpt.data-00000-of-00001, bert_config.json and vocab.txt are expected"
)
FILE_PATTERNS = ("*.index", "*.data-?????-of-?????")


class Tf1Files(NamedTuple):
    """A TF1 checkpoint: its prefix (no such file) and its configuration."""

    prefix: Path
    config: Path

    @property
    def files(self) -> list[Path]:
        """What shapes a model: the configuration and the files of the checkpoint."""
        return [
            self.config,
            *(
                path
                for path in _checkpoint_files(self.prefix.parent)
                if path.name.startswith(f"{self.prefix.name}.")
            ),
        ]


def is_there(source: Path) -> bool:
    """Whether a folder holds, or a prefix names, any file of a TF1 checkpoint."""
    folder = importing.home(source)
    return folder.is_dir() and (not source.is_dir() or bool(_checkpoint_files(folder)))


def find(source: Path) -> Tf1Files:
    """The checkpoint of a folder (also one inside it, as archives unpack), of a prefix, or of one of its
    files.

    Raises:
        UserError: no configuration beside it, or not only one checkpoint.
    """
    folder = importing.home(source)
    named = None if source.is_dir() else folder / re.sub(importing.PART, "", source.name)
    return Tf1Files(named or _prefix(folder), _config(folder))


def _checkpoint_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in FILE_PATTERNS for path in folder.glob(pattern))


def _prefix(folder: Path) -> Path:
    """The only checkpoint of a folder, or the one that its file `checkpoint` names."""
    known = sorted({re.sub(importing.PART, "", path.name) for path in _checkpoint_files(folder)})
    state = folder / "checkpoint"
    newest = (
        re.search(r'^model_checkpoint_path: "(?:.*/)?([^"/]+)"', state.read_text("utf-8"), re.M)
        if state.is_file()
        else None
    )
    if newest and newest[1] in known:
        return folder / newest[1]
    if len(known) != 1:
        problem = (
            f"{len(known)} checkpoints there ({', '.join(known)}); name one by its prefix"
            if known
            else f"no checkpoint there; {EXPECTED}"
        )
        raise UserError(f"{folder}: {problem}")
    return folder / known[0]


def _config(folder: Path) -> Path:
    """bert_config.json, or the one JSON file that describes a model (bert_config_rbt3.json,
    student_base_f2.json).
    """
    if (folder / "bert_config.json").is_file():
        return folder / "bert_config.json"
    candidates = [path for path in sorted(folder.glob("*.json")) if _describes(path)]
    if len(candidates) > 1:  # ELECTRA: the discriminator is the model, the generator only helped to train it
        candidates = [path for path in candidates if "discriminator" in path.name] or candidates
    if len(candidates) != 1:
        names = ", ".join(path.name for path in candidates) or "none"
        raise UserError(
            f"{folder}: bert_config.json is not there, and other configurations there are: {names}; "
            f"{EXPECTED}"
        )
    return candidates[0]


def _describes(path: Path) -> bool:
    try:
        body = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, OSError):
        return False
    return isinstance(body, dict) and "hidden_size" in body
