"""The work folder of a pipeline: what a killed run finished is found by the next run that does the same
work.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Beam
from mobilebert.storage import artifacts, paths
from mobilebert.storage.locks import locked

_WHOSE = "fingerprint.txt"
_DIGITS = 16


def fingerprint(
    settings: Mapping[str, Any], inputs: Mapping[str, Path | str], versions: tuple[str, ...]
) -> str:
    """SHA-256 of all that shapes what lies in a work folder: settings, the inputs' manifests, libraries, and
    this package's own code.

    The code belongs to it because half of a run by older code would otherwise end, unseen, in an artifact of
    newer code.
    """
    body = {
        "settings": dict(settings),
        "inputs": {role: artifacts.digest(folder) for role, folder in inputs.items()},
        "versions": {name: metadata.version(name) for name in versions},
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(body, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


@contextmanager
def folder(out: Path, where: Beam, fingerprint: str) -> Iterator[str]:
    """A place for what lies between the steps, seen by all workers: in `OUT.work`, or under `beam.work` if
    that is set.

    It is removed when the block ends, also with an error that only other settings or inputs can mend. When
    the run is killed, it stays, and the next run of the same work goes on with it; other work removes it, so
    that a worker which outlived the killed run writes into a folder that is gone. One process at a time works
    for one `out`.

    Raises:
        UserError: another process works for `out`, or no folder can be made there.
    """
    beside = out.with_name(f"{out.name}.work")
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", str(out)).strip("-")
    root = paths.join(where.work, f"{name}.work") if where.work else str(beside.absolute())
    if not paths.is_local(root):
        paths.use(where.pipeline_options)
    with locked(beside):
        try:
            mine = _opened(root, fingerprint)
        except OSError as error:
            raise UserError(
                f"{root}: no folder for what lies between the steps can be made there "
                f"({error.strerror or error}); name another in beam.work"
            ) from None
        try:
            yield mine
        except PassingError:
            raise
        except UserError:
            _removed(root, beside)
            raise
        _removed(root, beside)


def _opened(root: str, fingerprint: str) -> str:
    mark, mine = paths.join(root, _WHOSE), paths.join(root, fingerprint[:_DIGITS])
    if paths.exists(mark) and paths.read(mark).decode() == fingerprint:
        logging.info("going on with what an interrupted run left in %s", root)
        paths.make_folder(mine)
        return mine
    if paths.is_local(root) and Path(root).is_dir():
        for path in Path(root).iterdir():  # not the folder itself, which may hold our lock
            if path.is_dir():
                shutil.rmtree(path)
    else:
        paths.remove(root)
    paths.make_folder(mine)
    paths.write(mark, fingerprint.encode())
    return mine


def _removed(root: str, beside: Path) -> None:
    paths.remove(root)
    shutil.rmtree(beside, ignore_errors=True)


def _code() -> str:
    package = Path(__file__).resolve().parents[1]
    files = sorted(path for path in package.rglob("*") if path.suffix in {".py", ".txt"})
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
