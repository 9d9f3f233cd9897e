"""Reading torch's `pytorch_model.bin` without torch, and without running anything of it.

A pickle is a program. Ours is read by an unpickler that knows the dozen names of which a file of tensors
consists and refuses every other, so that nothing outside this module is ever called (the same idea as torch's
`weights_only=True`). Both forms are read: a zip archive (torch 1.6 and later), and the older stream of
pickles followed by raw storages. Source of both layouts: torch/serialization.py and torch/_utils.py, torch
2.13.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

# Storage class -> name as in safetensors, type of the numbers as they lie in the file.
STORAGES = {
    "DoubleStorage": ("F64", "<f8"),
    "FloatStorage": ("F32", "<f4"),
    "HalfStorage": ("F16", "<f2"),
    "BFloat16Storage": ("BF16", "<u2"),
    "LongStorage": ("I64", "<i8"),
    "IntStorage": ("I32", "<i4"),
    "ShortStorage": ("I16", "<i2"),
    "CharStorage": ("I8", "<i1"),
    "ByteStorage": ("U8", "<u1"),
    "BoolStorage": ("BOOL", "<u1"),
}
# Keys of the weights in a training's checkpoint: Lightning, tutorials of torch, fairseq, DeepSpeed.
NESTED = ("state_dict", "model_state_dict", "model", "module")
MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of the older form
CONVERT = (
    "open it with torch.load(..., weights_only=True) and save it with transformers' save_pretrained "
    "(safetensors)"
)


class Refused(Exception):
    """Not a file of tensors, damaged, or a pickle that asks for more."""


class Stored(NamedTuple):
    """One tensor of the file."""

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


class _Storage(NamedTuple):
    kind: str  # a key of STORAGES
    key: str
    numbers: int


class _Tensor(
    NamedTuple
):  # checked once when it is made: a pickle could write into an object that can be changed (BUILD)
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read(path: Path) -> dict[str, Stored]:
    """The tensors of a torch file by name.

    Raises:
        Refused: saying why.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read_stream(path)
    except Refused:
        raise
    except (
        Exception
    ) as error:  # a damaged pickle can fail in any way; nothing but our own functions was called
        raise Refused(
            f"not a whole torch file, {path.stat().st_size} bytes ({type(error).__name__}: {error}); "
            f"download it again"
        ) from None


class _Unpickler(pickle.Unpickler):
    """Knows what a file of tensors consists of, and nothing else; `storages` are those that were named."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _parameter
        if module in ("torch", "torch.storage") and name in STORAGES:
            return name
        raise Refused(
            f"this pickle asks for {module}.{name}, which is no part of a tensor; it was not executed and "
            f"may be malicious (a training's own checkpoint holds more than weights: save its state_dict "
            f"alone)"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, _, count, *_ = pid
        if tag != "storage" or kind not in STORAGES:
            raise Refused(f"holds a storage of kind {kind!r}, which is unknown; {CONVERT}")
        storage = self.storages[str(key)] = _Storage(kind, str(key), int(count))
        return storage


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> _Tensor:
    sizes = tuple(map(int, shape)), tuple(map(int, stride))
    last = offset + sum((size - 1) * step for size, step in zip(*sizes, strict=True))
    if (
        offset < 0
        or min((*sizes[0], *sizes[1]), default=0) < 0
        or (0 not in sizes[0] and last >= storage.numbers)
    ):
        raise Refused(
            f"a tensor of shape {list(shape)} reaches beyond its storage of {storage.numbers} numbers"
        )
    return _Tensor(storage, offset, *sizes)


def _parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


def _read_zip(path: Path) -> dict[str, Stored]:
    with zipfile.ZipFile(path) as archive:
        roots = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("data.pkl")]
        if len(roots) != 1:
            raise Refused(f"a zip archive without torch's data.pkl; {CONVERT}")
        if f"{roots[0]}byteorder" in archive.namelist() and archive.read(f"{roots[0]}byteorder") != b"little":
            raise Refused(f"its numbers are big-endian; {CONVERT}")
        tensors = _state_dict(_Unpickler(io.BytesIO(archive.read(f"{roots[0]}data.pkl"))).load())
        sizes = {
            info.filename: info.file_size
            for info in archive.infolist()
            if info.compress_type == zipfile.ZIP_STORED
        }
    for name, tensor in tensors.items():
        wanted = tensor.storage.numbers * np.dtype(STORAGES[tensor.storage.kind][1]).itemsize
        if sizes.get(f"{roots[0]}data/{tensor.storage.key}", -1) < wanted:
            raise Refused(
                f"the numbers of {name} are not whole, {wanted} bytes are expected; download the file again"
            )

    def raw(storage: _Storage) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(f"{roots[0]}data/{storage.key}")

    return {name: _stored(tensor, partial(raw, tensor.storage)) for name, tensor in tensors.items()}


def _read_stream(path: Path) -> dict[str, Stored]:
    with path.open("rb") as stream:
        if _Unpickler(stream).load() != MAGIC:
            raise Refused(f"neither of torch's two forms of files; {CONVERT}")
        _Unpickler(stream).load()  # version of the protocol
        system = _Unpickler(stream).load()
        if not system.get("little_endian", True):
            raise Refused(f"its numbers are big-endian; {CONVERT}")
        body = _Unpickler(stream)
        tensors = _state_dict(body.load())
        keys = [str(key) for key in _Unpickler(stream).load()]
        ranges = _storage_ranges(stream, keys, body.storages, path.stat().st_size)

    def raw(storage: _Storage) -> bytes:
        start, size = ranges[storage.key]
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    return {name: _stored(tensor, partial(raw, tensor.storage)) for name, tensor in tensors.items()}


def _storage_ranges(
    stream: BinaryIO, keys: list[str], storages: dict[str, _Storage], end: int
) -> dict[str, tuple[int, int]]:
    """Start and size in bytes of each storage: they follow one another, each with its count of numbers
    before it.
    """
    ranges = {}
    for key in keys:
        if key not in storages:
            raise Refused(f"holds storage {key}, which no tensor uses; {CONVERT}")
        count = int.from_bytes(stream.read(8), "little")
        size = count * np.dtype(STORAGES[storages[key].kind][1]).itemsize
        ranges[key] = (stream.tell(), size)
        if count != storages[key].numbers or stream.seek(size, io.SEEK_CUR) > end:
            raise Refused(
                f"cut off or damaged: storage {key} should have {storages[key].numbers} numbers; "
                f"download "
                f"the file again"
            )
    if absent := storages.keys() - ranges.keys():
        raise Refused(
            f"cut off or damaged: storages {', '.join(sorted(absent))} are not there; download the file again"
        )
    return ranges


def _state_dict(loaded: Any) -> dict[str, _Tensor]:
    """The tensors by name; a training's checkpoint may hold them under one of `NESTED`."""
    while isinstance(loaded, dict):
        inner = next((loaded[name] for name in NESTED if isinstance(loaded.get(name), dict)), None)
        if inner is None:
            break
        loaded = inner
    odd = (
        [f"{key}: {type(value).__name__}" for key, value in loaded.items() if not isinstance(value, _Tensor)]
        if isinstance(loaded, dict)
        else []
    )
    if not isinstance(loaded, dict) or odd:
        raise Refused(
            f"not a table of tensors by name but {', '.join(odd[:3]) or type(loaded).__name__}; {CONVERT}"
        )
    return {str(name): tensor for name, tensor in loaded.items()}


def _stored(tensor: _Tensor, raw: Callable[[], bytes]) -> Stored:
    label, kind = STORAGES[tensor.storage.kind]

    def read_numbers() -> np.ndarray:
        numbers = np.frombuffer(raw(), kind, tensor.storage.numbers)[tensor.offset :]
        steps = [step * numbers.itemsize for step in tensor.stride]
        return np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps, writeable=False)

    return Stored(label, tensor.shape, read_numbers)
