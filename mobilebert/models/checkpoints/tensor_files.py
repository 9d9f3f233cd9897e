"""Reading a checkpoint: its tensors under transformers' names, each read only when asked for, and checked.

A transformers directory holds safetensors files, or pickles, which `models.checkpoints.torch_pickle` reads
without running anything of them; `models.checkpoints.tf1` reads TensorFlow checkpoints. float16 and bfloat16
come out as float32.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import tensor_names, torch_pickle

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ORIGINAL_CONFIG = (
    "bert_config.json"  # what TF1 releases call it, and torch conversions of 2019 beside their pickle
)
# ours: what a model carries along for finetuning and the way back, out of transformers' sight
EXTRA = "extra.safetensors"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
ADAPTER = "adapter_config.json"  # of peft
MERGE = "merge it into its base model (peft's merge_and_unload) and save that with save_pretrained"
FILES = (WEIGHTS, INDEX, PICKLE, PICKLE_INDEX)  # by any of which a transformers directory is known
# Names as in a safetensors header; bfloat16 is read as its bits.
FLOATS: dict[str, Any] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


class Entry(NamedTuple):
    """One tensor of a checkpoint: the file, its type (a key of `FLOATS`, or what the source calls another),
    its shape as transformers stores it, and how to read it as it lies there.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


class Checkpoint:
    """Tensors by transformers' name.

    Attributes:
        where: the folder or prefix, for messages.
        entries: every tensor.
        config: the file that says what the tensors should be, for messages.
    """

    def __init__(self, where: Path, entries: dict[str, Entry], config: str = CONFIG) -> None:
        self.where, self.entries, self.config = where, entries, config

    def spell(self, name: str, shape: tuple[int, ...]) -> tuple[str, list[int]]:
        """Name and shape as the source itself has them, for messages."""
        return name, list(shape)

    def array(self, name: str) -> np.ndarray:
        """One tensor, float32 or float64, in transformers' orientation.

        Raises:
            UserError: not a floating-point tensor, or NaN or Inf in it.
        """
        entry = self.entries[name]
        spelled, _ = self.spell(name, entry.shape)
        if entry.dtype not in FLOATS:
            raise UserError(
                f"{entry.path}: tensor {spelled} is of type {entry.dtype}, expected one of "
                f"{', '.join(FLOATS)}"
            )
        try:
            raw = entry.read()
        except Exception as error:  # a damaged file can fail in any way
            raise UserError(
                f"{entry.path}: tensor {spelled} cannot be read, the file is damaged or cut off "
                f"({error}); "
                f"download it again"
            ) from None
        if entry.dtype == "BF16":  # the upper half of a float32
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        array = (raw.astype(np.float32) if entry.dtype == "F16" else raw).reshape(entry.shape)
        if not np.isfinite(array).all():
            nonfinite = int(array.size - np.isfinite(array).sum())
            raise UserError(
                f"{entry.path}: tensor {spelled} holds NaN or Inf in {nonfinite} of {array.size} places; "
                f"these weights are damaged"
            )
        return array


def of_folder(folder: Path, prefix: str) -> Checkpoint:
    """The tensors of a transformers directory under today's names.

    What other trainings put around the names goes (`tensor_names.modern`). A tensor that shares another's
    memory, which safetensors names in its metadata alone, is that other one.

    Raises:
        UserError: no weights there, or not whole.
    """
    stored: dict[str, Entry] = {}
    for path in [*_files(folder), *folder.glob(EXTRA)]:
        for name, entry in (_safetensors(path) if path.suffix == ".safetensors" else _pickle(path)).items():
            if name in stored:
                raise UserError(f"{path}: tensor {name} stands in {stored[name].path.name} too")
            stored[name] = entry
    entries: dict[str, Entry] = {}
    names = tensor_names.modern(stored, prefix, folder)
    for name, entry in stored.items():
        if names[name] in entries:
            raise UserError(f"{entry.path}: tensor {names[name]} stands there twice (once as {name})")
        entries[names[name]] = entry
    return Checkpoint(folder, entries, config_of(folder).name)


def config_of(folder: Path) -> Path:
    """The folder's config.json, or the bert_config.json of an older conversion."""
    old = folder / ORIGINAL_CONFIG
    return old if old.is_file() and not (folder / CONFIG).is_file() else folder / CONFIG


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        UserError: absent or not a JSON object.
    """
    path = config_of(folder)
    if not path.is_file():
        adapter = f"; {ADAPTER} says that this is an adapter alone: {MERGE}"
        raise UserError(
            f"{path}: not there; a transformers directory (config.json, model.safetensors, tokenizer) is "
            f"expected{adapter if (folder / ADAPTER).is_file() else ''}"
        )
    return read_json(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: absent, or something else.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; a model's configuration (JSON) is expected") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: {disguise(path) or 'not UTF-8; save it as UTF-8'}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not readable as JSON ({disguise(path) or error})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: a JSON object is expected, found {type(config).__name__}")
    return config


def disguise(path: Path) -> str | None:
    """What a file really is that should hold weights: a web page, the pointer that git keeps instead,
    nothing. None: unknown.
    """
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(512).lstrip().lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; fetch the file itself with `git lfs pull`"
    return (
        "a web page, perhaps an error message; download it again"
        if head.startswith((b"<!doctype", b"<html", b"<?xml"))
        else None
    )


def _files(folder: Path) -> list[Path]:
    present = [name for name in FILES if (folder / name).is_file()]
    if not present:
        raise UserError(f"{folder / WEIGHTS}: not there, nor {PICKLE}{_hint(folder)}")
    chosen, *others = present
    if others:
        logging.warning("%s: %s is read, not %s beside it", folder, chosen, ", ".join(others))
    return _shards(folder / chosen) if chosen in (INDEX, PICKLE_INDEX) else [folder / chosen]


def _hint(folder: Path) -> str:
    """What lies there instead of weights under their usual name, and what to do with it."""
    kinds = {
        (".pt", ".pth", ".ckpt", ".bin"): f"if torch wrote it, name it {PICKLE}",
        (".safetensors",): f"name it {WEIGHTS}",
        (".h5", ".msgpack", ".onnx"): "open it with transformers 4 (from_tf, from_flax) and save it again",
        (".index",): "a TensorFlow 1 checkpoint is named by its prefix",
    }
    lines = []
    for kind, advice in kinds.items():
        if listed := sorted(path.name for suffix in kind for path in folder.glob(f"*{suffix}")):
            lines.append(f"{', '.join(listed)} ({advice})")
    return f"; there are {'; '.join(lines)}" if lines else ""


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        missing = [name for name in names if not (index.parent / name).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index}: not an index of weights ({disguise(index) or error})") from None
    if missing:
        raise UserError(
            f"{index}: names {len(names)} files, of which {', '.join(missing)} are not there; download "
            f"them too"
        )
    return [index.parent / name for name in names]


def _safetensors(path: Path) -> dict[str, Entry]:
    """The tensors of a file. The safetensors library checks that the header is sound and the file whole."""
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
    except (SafetensorError, OSError, ValueError) as error:
        size = path.stat().st_size if path.is_file() else 0
        reason = disguise(path) or f"{error}; download or write it again"
        raise UserError(f"{path}: not a whole safetensors file, {size} bytes ({reason})") from None
    shared = header.pop("__metadata__", {})  # safetensors.torch.save_model: a name left out -> the one kept
    entries = {
        name: _entry(path, value["dtype"], tuple(value["shape"]), 8 + size + value["data_offsets"][0])
        for name, value in header.items()
    }
    return {name: entries[kept] for name, kept in shared.items() if kept in entries} | entries


def _entry(path: Path, dtype: str, shape: tuple[int, ...], offset: int) -> Entry:
    return Entry(
        path,
        dtype,
        tuple(shape),
        partial(np.fromfile, path, FLOATS.get(dtype, np.uint8), int(np.prod(shape)), offset=offset),
    )


def _pickle(path: Path) -> dict[str, Entry]:
    try:
        tensors: Mapping[str, torch_pickle.Stored] = torch_pickle.read(path)
    except torch_pickle.Refused as error:
        raise UserError(f"{path}: {disguise(path) or error}") from None
    return {name: Entry(path, stored.dtype, stored.shape, stored.read) for name, stored in tensors.items()}
