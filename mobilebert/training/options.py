"""How and where a training command runs: nothing in it shapes the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """Options of a training command that shape nothing.

    Attributes:
        out: the artifact to write.
        state: folder where unfinished trainings are kept.
        log: log file, or None.
        threads: threads to use.
        checkpoint_seconds: seconds between checkpoints; 0: after every call.
        state_bucket: `gs://bucket/prefix` for copies of checkpoints, or "".
        on_nonfinite: "stop" or "skip": what is done about a step that is not finite.
    """

    out: Path
    state: Path
    log: Path | None = None
    threads: int = 1
    checkpoint_seconds: float = 600.0
    state_bucket: str = ""
    on_nonfinite: str = "stop"
