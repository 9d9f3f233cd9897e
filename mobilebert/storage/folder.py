"""A plain folder with a bucket's promises: an object appears whole, once, and is never replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.storage.atomic import PARTIAL, replacing
from mobilebert.storage.objects import BLOCK, Digester, Payload, Stored, Writable


class FolderStorage:
    """A folder as Storage."""

    def __init__(self, where: str) -> None:
        self.where = where.rstrip("/") or "/"
        self._root = Path(where)

    def list(self, prefix: str) -> dict[str, Stored]:
        """Every file below; `prefix` is a folder ("mini/1.0/") or one file."""
        start = self._root / prefix
        with _readable(start):
            below = [start] if start.is_file() else start.rglob("*")
            files = sorted(path for path in below if path.is_file() and not _unfinished(path))
            return {path.relative_to(self._root).as_posix(): _describe(path) for path in files}

    def create(self, name: str, payload: Payload) -> bool:
        """A temporary file, linked to its name: that shows whole bytes only, and fails if it is taken."""
        target = self._root / name
        with _readable(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                return False
            try:
                with replacing(target, exclusive=True) as temporary:
                    _copy(payload, temporary, name)
            except FileExistsError:
                return False
            except FileNotFoundError:
                # Another publisher finished the same version and tidied up.
                if target.exists():
                    return False
                raise
        return True

    def fetch(self, name: str, stream: Writable) -> None:
        """Read the file block by block."""
        path = self._root / name
        with _readable(path), path.open("rb") as source:
            while block := source.read(BLOCK):
                stream.write(block)

    def tidy(self, prefix: str) -> None:
        """Remove unfinished writes."""
        for path in (self._root / prefix).rglob(f".*{PARTIAL}"):
            path.unlink(missing_ok=True)


def _copy(payload: Payload, path: Path, name: str) -> None:
    digester = Digester()
    with payload.open() as source, path.open("wb") as stream:
        while block := source.read(BLOCK):
            digester.write(block)
            stream.write(block)
    if digester.sha256 != payload.sha256:
        raise UserError(
            f"{name}: the file changed while it was being published; publish again when nothing writes to it"
        )


def _describe(path: Path) -> Stored:
    with path.open("rb") as source:
        digester = Digester.of(source)
    return Stored(digester.size, digester.crc32c)


def _unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(PARTIAL)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What a person can mend about a folder, said in one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: not there") from None
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; publish.to needs a folder that can be written to, on a "
            f"file system with hard links"
        ) from None
