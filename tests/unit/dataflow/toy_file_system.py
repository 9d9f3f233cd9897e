"""A file system of its own scheme, `toy://`, in a local folder: no path of it can be opened with Python's
`open`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import CompressionTypes, FileMetadata, FileSystem

FOLDER = "MOBILEBERT_TOY_FOLDER"


class ToyFileSystem(FileSystem):
    """What Beam asks of a file system, for objects without folders, as in an object store."""

    @classmethod
    def scheme(cls) -> str:
        return "toy"

    @staticmethod
    def _path(place: str) -> Path:
        assert place.startswith("toy://")
        return Path(os.environ[FOLDER], place.removeprefix("toy://").replace("/", "@"))

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise OSError("there are no folders")

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Any:
        for path in Path(os.environ[FOLDER]).iterdir():
            place = "toy://" + path.name.replace("@", "/")
            if place.startswith(dir_or_prefix):
                yield FileMetadata(place, path.stat().st_size)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        assert compression_type == CompressionTypes.UNCOMPRESSED
        return self._path(path).open("wb")

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        assert compression_type == CompressionTypes.UNCOMPRESSED
        return self._path(path).open("rb")

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            shutil.copy(self._path(source), self._path(target))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        return self._path(path).exists()

    def size(self, path: str) -> int:
        return self._path(path).stat().st_size

    def last_updated(self, path: str) -> float:
        return self._path(path).stat().st_mtime

    def checksum(self, path: str) -> str:
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            for found in list(self._list(path)):
                self._path(found.path).unlink()
