"""Finding the files of an original TF1 release, which people name and unpack in several ways."""

from __future__ import annotations

import json
import re
from glob import escape
from pathlib import Path
from typing import NamedTuple

from mobilebert.errors import UserError
from mobilebert.tokenization import importing

EXPECTED = "bert_model.ckpt.index, bert_model.ckpt.data-00000-of-00001, bert_config.json and vocab.txt are expected"


class Original(NamedTuple):
    """A TF1 checkpoint: `prefix` as TensorFlow names it (no such file), its configuration, its vocabulary's folder."""

    prefix: Path
    config: Path
    folder: Path

    @property
    def files(self) -> list[Path]:
        """All its files but the tokenizer's."""
        return [*sorted(self.folder.glob(f"{escape(self.prefix.name)}.index")), *shards(self.prefix), self.config]


def is_there(source: Path) -> bool:
    """Whether a folder holds, or a prefix names, something of a TF1 checkpoint."""
    folder = importing.home(source)
    if folder.is_dir() and not source.exists():
        return True
    return folder.is_dir() and any(any(folder.glob(pattern)) for pattern in ("*.index", "*.data-?????-of-?????", "*.ckpt*"))


def find(source: Path) -> Original:
    """The checkpoint of a folder or a prefix.

    Raises:
        UserError: not whole, or not only one.
    """
    folder = importing.home(source)
    prefix = source if not source.exists() else _prefix(folder)
    index = prefix.with_name(f"{prefix.name}.index")
    if not index.is_file():
        raise UserError(f"{index}: not there, though {_list(folder)} are; half a download? {EXPECTED}")
    _check_shards(prefix)
    return Original(prefix, _config(folder), folder)


def shards(prefix: Path) -> list[Path]:
    """The files that hold the tensors."""
    return sorted(prefix.parent.glob(f"{escape(prefix.name)}.data-?????-of-?????"))


def _prefix(folder: Path) -> Path:
    """The only checkpoint of a folder, or the one that its file `checkpoint` names."""
    known = {path.name.removesuffix(".index") for path in folder.glob("*.index")}
    known |= {re.sub(r"\.data-\d{5}-of-\d{5}$", "", path.name) for path in folder.glob("*.data-?????-of-?????")}
    state = folder / "checkpoint"
    newest = re.search(r'^model_checkpoint_path: "(?:.*/)?([^"/]+)"', state.read_text("utf-8"), re.M) if state.is_file() else None
    if newest and newest[1] in known:
        return folder / newest[1]
    if len(known) != 1:
        found = (
            f"{len(known)} checkpoints there ({', '.join(sorted(known))}); name one by its prefix"
            if known
            else f"no checkpoint, {EXPECTED}"
        )
        raise UserError(f"{folder}: {found}")
    return folder / known.pop()


def _check_shards(prefix: Path) -> None:
    found = shards(prefix)
    total = int(found[0].name.rsplit("-", 1)[1]) if found else 1
    if len(found) != total:
        missing = [f"{prefix.name}.data-{number:05d}-of-{total:05d}" for number in range(total)]
        missing = [name for name in missing if not prefix.with_name(name).is_file()]
        raise UserError(f"{prefix.parent}: {', '.join(missing)} missing beside {prefix.name}.index; half a download? {EXPECTED}")


def _config(folder: Path) -> Path:
    """bert_config.json, or the one JSON file that describes a model (bert_config_rbt3.json, ..._discriminator_config.json)."""
    if (folder / "bert_config.json").is_file():
        return folder / "bert_config.json"
    found = [path for path in sorted(folder.glob("*.json")) if _describes(path)]
    if len(found) > 1:  # ELECTRA: the discriminator is the model, the generator its training's help
        found = [path for path in found if "discriminator" in path.name] or found
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(f"{folder}: bert_config.json is not there, and of other configurations there are: {names}; put the right one there")
    return found[0]


def _describes(path: Path) -> bool:
    try:
        body = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, OSError):
        return False
    return isinstance(body, dict) and "hidden_size" in body


def _list(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "no files"
