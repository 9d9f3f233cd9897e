"""How Beam is imported: about 1,700 modules in a CPU second."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What Beam imports where it is installed, and nothing here uses: 48 MB of every process, and a quarter of the time (measured).
_UNUSED = ("pandas", "bson")


@contextmanager
def quickly() -> Iterator[None]:
    """Around imports that bring Beam: without its notices of cloud libraries that nothing here needs, and without a search for garbage.

    Imports leave no garbage, and looking for it takes a sixth of their time (measured). What is there by then is never looked through
    again, nor do processes forked afterwards write to, and so copy, its pages. Libraries that read the environment when they are imported
    start no threads for algebra, of which there is none here, so that processes can be forked, and leave memory to the C library
    (`running`).
    """
    os.environ.update(OPENBLAS_NUM_THREADS="1", ARROW_DEFAULT_MEMORY_POOL="system")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    gc.disable()
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)  # type: ignore[arg-type]
    try:
        import pyarrow

        pyarrow.array([])  # which looks for pandas once, and again where it must have it
        yield
    finally:
        sys.meta_path.remove(hidden)  # type: ignore[arg-type]
        gc.enable()
        gc.freeze()
        logging.disable(before)


class _Hidden:
    """Finds no module of `_UNUSED` that is not there already."""

    def find_spec(self, name: str, *_: object) -> None:
        """Nothing, so that the other finders are asked; or ModuleNotFoundError."""
        if name in _UNUSED:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)
