"""Reading a transformers directory: config.json and safetensors files, checked, one tensor at a time.

Tensors are mapped, not read, until they are asked for; float16 and bfloat16 come out as float32. Pickles are never opened.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from mobilebert.errors import UserError

CONFIG, WEIGHTS, INDEX, PICKLE = "config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
FLOATS: dict[str, Any] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class Entry(NamedTuple):
    """Where one tensor lies."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Checkpoint:
    """The tensors of a transformers directory under today's names.

    Names of bare models (`embeddings...` instead of `bert.embeddings...`) get their prefix, and TF1's `gamma` and `beta` of
    older conversions become `weight` and `bias`, as transformers does it.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        found = {name: entry for path in _files(folder) for name, entry in _header(path).items()}
        bare = not any(name.startswith(f"{prefix}.") for name in found)
        for name, entry in found.items():
            modern = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
            if bare and modern.startswith(("embeddings.", "encoder.", "pooler.")):
                modern = f"{prefix}.{modern}"
            if modern in self.entries:
                raise UserError(f"{entry.path}: tensor {modern} stands there twice (once as {name})")
            self.entries[modern] = entry

    def array(self, name: str) -> np.ndarray:
        """One tensor, float32 or float64.

        Raises:
            UserError: not a floating-point tensor, or NaN or Inf in it.
        """
        entry = self.entries[name]
        if entry.dtype not in FLOATS:
            raise UserError(f"{entry.path}: tensor {name} is of type {entry.dtype}, expected one of {', '.join(FLOATS)}")
        count = int(np.prod(entry.shape))
        raw = np.fromfile(entry.path, FLOATS[entry.dtype], count, offset=entry.offset)
        if entry.dtype == "BF16":  # the upper half of a float32
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        array = (raw.astype(np.float32) if entry.dtype == "F16" else raw).reshape(entry.shape)
        if not np.isfinite(array).all():
            wrong = int(np.size(array) - np.isfinite(array).sum())
            raise UserError(f"{entry.path}: tensor {name} holds NaN or Inf in {wrong} of {count} places; these weights are damaged")
        return array


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        UserError: absent or not a JSON object.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; a transformers directory (config.json, model.safetensors, tokenizer) is expected") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: a JSON object is expected, found {type(config).__name__}")
    return config


def _files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        try:
            return sorted({folder / name for name in json.loads((folder / INDEX).read_bytes())["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{folder / INDEX}: not a safetensors index ({error})") from None
    hint = f"; {PICKLE} is not opened, save it again with transformers' save_pretrained" if (folder / PICKLE).is_file() else ""
    raise UserError(f"{folder / WEIGHTS}: not there{hint}")


def _header(path: Path) -> dict[str, Entry]:
    """Names and places of a file's tensors. The safetensors library checks that the header is sound and the file whole."""
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
    except (SafetensorError, OSError, ValueError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise UserError(f"{path}: not a whole safetensors file, {size} bytes ({error}); download or write it again") from None
    entries = {name: value for name, value in header.items() if name != "__metadata__"}
    return {
        name: Entry(path, value["dtype"], tuple(value["shape"]), 8 + size + value["data_offsets"][0]) for name, value in entries.items()
    }
