"""What a command says: on the terminal, and in its log file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path


def log_to(path: Path | None) -> None:
    """Send log lines to the terminal, and to a file if one is named; leave with a line if it refuses."""
    # A log on a full disk ends there, without a traceback for each line; the terminal has them.
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(path, "w", encoding="utf-8"))
        except OSError as error:
            sys.exit(f"{path}: no log can be written there ({error.strerror}); name another place in --log")
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%T",
        handlers=handlers,
        force=True,
    )
