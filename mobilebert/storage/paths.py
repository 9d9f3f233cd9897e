"""Files by path or address: on this machine, in a shared folder, wherever Beam reads (gs://, hdfs://, ...).

Local files take plain functions and appear whole or not at all, so that a worker that dies or is tried again
leaves no half file. Elsewhere a file is created under its own name: object stores show it only when it is
whole, and nothing is read before the step that wrote it has ended. Beam's file systems, because they take a
pipeline's own options (credentials, endpoints) and are there on every worker; fsspec, which is locked too,
would want gcsfs and a second way to say them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from mobilebert.storage.atomic import replacing

WILD = re.compile(r"[*?\[]")
_COPIED_AT_ONCE = 1 << 20  # bytes


def is_local(path: str) -> bool:
    """Whether plain file functions reach it."""
    return "://" not in path


def use(options: list[str]) -> None:
    """Give remote file systems Beam's options (credentials, endpoints); a pipeline's workers have them."""
    from apache_beam.options.pipeline_options import PipelineOptions

    _systems().set_options(PipelineOptions(options))


def join(folder: str, *names: str) -> str:
    """A path inside a folder."""
    return os.path.join(folder, *names) if is_local(folder) else "/".join([folder.rstrip("/"), *names])


@contextmanager
def writing(path: str) -> Iterator[Any]:
    """Make a file through a binary stream (not seekable everywhere); it appears whole or not at all."""
    if not is_local(path):
        with _systems().create(path, "application/octet-stream", _plain()) as stream:
            yield stream
        return
    with replacing(path, durable=False) as temporary, temporary.open("wb") as stream:
        yield stream


def write(path: str, data: bytes | bytearray) -> None:
    """Make a file of these bytes."""
    with writing(path) as stream:
        stream.write(data)


def opened(path: str) -> BinaryIO:
    """A seekable stream of the file's bytes, never decompressed. Raises: OSError."""
    return open(path, "rb") if is_local(path) else _systems().open(path, "application/octet-stream", _plain())


def read(path: str, start: int = 0, size: int = -1) -> bytes:
    """The bytes of a file, or `size` of them from `start` on. Raises: OSError."""
    with opened(path) as stream:
        if start:
            stream.seek(start)
        return stream.read() if size < 0 else stream.read(size)


def exists(path: str) -> bool:
    """Whether there is a file."""
    return os.path.exists(path) if is_local(path) else bool(_systems().exists(path))


def make_folder(path: str) -> None:
    """Make a folder and those above it, where the file system has folders."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)
    else:
        with suppress(OSError):  # Beam's own error for a folder that is there
            _systems().mkdirs(path)


def remove(folder: str) -> None:
    """Remove a folder with all in it, if it is there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        _systems().delete([folder.rstrip("/") + "/"])


def send(source: Path, path: str) -> None:
    """Copy a local file, unless all of it is there: a killed run may have left half of it."""
    if exists(path) and _size(path) == source.stat().st_size:
        return
    with source.open("rb") as stream, writing(path) as target:
        shutil.copyfileobj(stream, target, _COPIED_AT_ONCE)


def take(path: str, target: Path) -> None:
    """Bring a file to a local path, linked if that can be, else copied.

    Never moved: of a run that is killed meanwhile, the next one expects all of the work folder, which is
    removed as a whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_local(path):
        with suppress(OSError):  # another file system, or one without links
            os.link(path, target)
            return
    with opened(path) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream, _COPIED_AT_ONCE)


def send_folder(folder: Path, path: str) -> str:
    """Copy the files of a local folder (and of those in it) below a path, and return that."""
    for source in sorted(folder.rglob("*")):
        if source.is_file():
            below = source.relative_to(folder).parts
            make_folder(join(path, *below[:-1]))
            send(source, join(path, *below))
    return path


@contextmanager
def local_folder(path: str, names: tuple[str, ...]) -> Iterator[Path]:
    """These files of a folder as a local one, for libraries that open paths: itself, or a copy meanwhile."""
    if is_local(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            take(join(path, *name.split("/")), Path(folder, name))
        yield Path(folder)


def matcher(pattern: str) -> re.Pattern[str]:
    """A glob as an expression for a whole path; `**` alone crosses a slash (Python 3.13: glob.translate)."""
    out = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", pattern, re.DOTALL):
        if len(token) > 2 and token[0] == "[":
            inner = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
            out.append(f"[^/{inner[1:]}]" if inner[0] == "!" else f"[{inner}]")
        else:
            out.append(
                {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token) or re.escape(token)
            )
    return re.compile("".join(out), re.DOTALL)


def _size(path: str) -> int:
    return (
        os.path.getsize(path)
        if is_local(path)
        else _systems().match([path])[0].metadata_list[0].size_in_bytes
    )


@cache
def _systems() -> Any:
    from apache_beam.io.filesystems import FileSystems  # takes two seconds

    return FileSystems


def _plain() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED
