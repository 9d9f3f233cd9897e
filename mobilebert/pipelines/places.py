"""Files that all workers of a pipeline see: of a local or shared folder, or of any file system that Beam knows (gs://, hdfs://, ...).

A place is a text: a path, or an address with a scheme. Local files go the short way, without Beam: they are filled under another name
and renamed, so that a worker that dies or is tried again leaves no half file. Elsewhere a file is created under its own name: object
stores show it only when it is whole, and nothing is read before the step that wrote it has ended.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

_COPIED_AT_ONCE = 1 << 20  # bytes


def is_local(place: str) -> bool:
    """Whether plain file functions reach it."""
    return "://" not in place


def use(options: list[str]) -> None:
    """Let file systems other than the local one know Beam's options (credentials, endpoints); a pipeline's own workers know them anyway."""
    from apache_beam.options.pipeline_options import PipelineOptions

    _systems().set_options(PipelineOptions(options))


def join(folder: str, *names: str) -> str:
    """A place inside a folder."""
    return os.path.join(folder, *names) if is_local(folder) else "/".join([folder.rstrip("/"), *names])


@contextmanager
def writing(place: str) -> Iterator[Any]:
    """Make a file through a binary stream (not seekable everywhere); it appears whole or not at all."""
    if not is_local(place):
        with _systems().create(place, "application/octet-stream", _plain()) as stream:
            yield stream
        return
    folder, name = os.path.split(place)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.partial")
    try:
        with open(temporary, "wb") as stream:
            yield stream
        os.replace(temporary, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def write(place: str, data: bytes | bytearray) -> None:
    """Make a file of these bytes."""
    with writing(place) as stream:
        stream.write(data)


def opened(place: str) -> BinaryIO:
    """A seekable stream of the file's bytes, never decompressed. Raises: OSError."""
    return open(place, "rb") if is_local(place) else _systems().open(place, "application/octet-stream", _plain())


def read(place: str, start: int = 0, size: int = -1) -> bytes:
    """The bytes of a file, or `size` of them from `start` on. Raises: OSError."""
    with opened(place) as stream:
        if start:
            stream.seek(start)
        return stream.read() if size < 0 else stream.read(size)


def exists(place: str) -> bool:
    """Whether there is a file."""
    return os.path.exists(place) if is_local(place) else bool(_systems().exists(place))


def make_folder(place: str) -> None:
    """Make a folder and those above it, where the file system has folders."""
    if is_local(place):
        os.makedirs(place, exist_ok=True)
    else:
        with suppress(OSError):  # Beam's own error for a folder that is there
            _systems().mkdirs(place)


def remove(folder: str) -> None:
    """Remove a folder with all in it, if it is there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        _systems().delete([folder.rstrip("/") + "/"])


def send(path: Path, place: str) -> None:
    """Copy a local file to a place, unless it is there: all of it, not what a killed run left where files show before they are whole."""
    if exists(place) and _size(place) == path.stat().st_size:
        return
    with path.open("rb") as source, writing(place) as target:
        shutil.copyfileobj(source, target, _COPIED_AT_ONCE)


def take(place: str, path: Path) -> None:
    """Bring a file to a local path, linked if that can be, else copied.

    Never moved: of a run that is killed meanwhile, the next one expects all of the work folder, which is removed as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_local(place):
        try:
            os.link(place, path)
        except OSError:  # another file system, or one without links
            shutil.copyfile(place, path)
        return
    with opened(place) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, _COPIED_AT_ONCE)


def send_folder(folder: Path, place: str) -> str:
    """Copy the files of a local folder (and of those in it) to a place, and return the place."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            below = path.relative_to(folder).parts
            make_folder(join(place, *below[:-1]))
            send(path, join(place, *below))
    return place


@contextmanager
def local_folder(place: str, names: tuple[str, ...]) -> Iterator[Path]:
    """These files of a folder as a local folder, for libraries that open paths only: itself, or a copy for as long as the block lasts."""
    if is_local(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            take(join(place, *name.split("/")), Path(folder, name))
        yield Path(folder)


def _size(place: str) -> int:
    return os.path.getsize(place) if is_local(place) else _systems().match([place])[0].metadata_list[0].size_in_bytes


@cache
def _systems() -> Any:
    from apache_beam.io.filesystems import FileSystems  # takes two seconds

    return FileSystems


def _plain() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED
