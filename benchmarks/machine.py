"""What machine a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Processor, cores, memory and Python, on one line."""
    info = Path("/proc/cpuinfo")
    names = (
        [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if info.is_file()
        else []
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = names[0] if names else platform.processor()
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, no "
        f"accelerator asked for"
    )


def flags(*wanted: str) -> list[str]:
    """Those of the processor's features that are asked for and there."""
    info = Path("/proc/cpuinfo")
    lines = (
        [line for line in info.read_text().splitlines() if line.startswith("flags")] if info.is_file() else []
    )
    there = set(lines[0].split()) if lines else set()
    return [flag for flag in wanted if flag in there]
