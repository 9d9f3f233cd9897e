"""Memory, CPU and disk of the corpus and records stages on small worlds of growing size: `make bench-memory`.

Each measurement is a fresh command, watched from outside: the highest resident memory of each of its
processes (VmHWM), their CPU seconds, and the most bytes of its work folder and output. Sizes measured
already, in the folder named by --keep, are not measured again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import machine
from mobilebert.storage import artifacts

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "memory.md"
WORKERS = {True: [1, 4], False: [4]}
ALONE = 0.3  # GB that one worker is measured with, too
SECONDS_BETWEEN_LOOKS = 0.2
LOOKS_BETWEEN_DISK = 20
HEAD = """# Memory, CPU and disk of the corpus and records stages

Written by `make bench-memory`. {machine}.{note}

The small world (12 % dirt) at growing size; each row is one run of a command. Memory: the highest resident
size (VmHWM, shared libraries included) of any single process, MB = 10^6 bytes. CPU: user and system seconds
of all its processes. Disk: the most that work folder and output took together.

| stage | text, GB | workers | largest process, MB | CPU, s | CPU s per GB | wall, s | disk, GB |
|---|---|---|---|---|---|---|---|
"""


def watch(command: list[str], folders: list[Path]) -> dict[str, float]:
    """Run a command; what its processes took at most. Raises: CalledProcessError."""
    started, looks = time.monotonic(), 0
    peak: dict[int, int] = {}
    seconds: dict[int, float] = {}
    disk = 0
    with (
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running,
        _drained(running) as errors,
    ):
        while running.poll() is None:
            for process in _tree(running.pid):
                try:
                    status = Path("/proc", str(process.pid), "status").read_text()
                    times = process.cpu_times()
                except (OSError, psutil.Error):
                    continue
                kibibytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
                peak[process.pid] = max([peak.get(process.pid, 0), *(int(kib) * 1024 for kib in kibibytes)])
                seconds[process.pid] = times.user + times.system
            if looks % LOOKS_BETWEEN_DISK == 0:
                disk = max(disk, sum(_size(folder) for folder in folders))
            looks += 1
            time.sleep(SECONDS_BETWEEN_LOOKS)
        wall = time.monotonic() - started
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command, stderr="".join(errors))
    return {
        "peak": max(peak.values()),
        "cpu": sum(seconds.values()),
        "wall": wall,
        "disk": max(disk, sum(map(_size, folders))),
    }


@contextmanager
def _drained(process: subprocess.Popen) -> Iterator[list[str]]:
    """A process whose messages nobody reads would wait for ever; they go to a file."""
    with tempfile.TemporaryFile("w+") as file:
        copier = subprocess.Popen(["cat"], stdin=process.stderr, stdout=file)
        said: list[str] = []
        yield said
        copier.wait()
        file.seek(0)
        said.append(file.read()[-3000:])


def _tree(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # removed meanwhile
            continue
    return total


def measure(folder: Path, gigabytes: float, workers: list[int]) -> list[dict[str, Any]]:
    """Both stages on a world of this size, with each number of workers."""
    kept = folder / f"{gigabytes:g}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    here = folder / f"{gigabytes:g}"
    world = {
        "small_world": {"megabytes": 1000 * gigabytes, "dirt": 0.12, "questions": 20, "reviews": 20},
        "seed": 1,
    }
    if not artifacts.exists(here / "world"):
        _command("make_small_world", world, here / "world")
    sources = {"sources": [{"name": "small_world", "from": "small_world"}]}
    _command("list_sources", sources, here / "sources", "--world", str(here / "world"))
    for left in here.glob("*-*"):  # by a measurement that was broken off; it would be gone on with
        shutil.rmtree(left)
    rows = []
    for count in workers:
        corpus, records, tokenizer = (here / f"{name}-{count}" for name in ("corpus", "records", "tokenizer"))
        cleaning = [
            *_words("clean_corpus", {"corpus": {}}, corpus),
            "--sources",
            str(here / "sources"),
            "--threads",
            str(count),
        ]
        rows.append(
            _row(
                "corpus", gigabytes, count, watch(cleaning, [corpus, corpus.with_name(f"{corpus.name}.work")])
            )
        )
        learned = {"vocabulary": {"size": 4000, "sample_megabytes": 10}, "seed": 1}
        _command("learn_vocabulary", learned, tokenizer, "--corpus", str(corpus))
        writing = [
            *_words("write_records", {"records": {"shards": 8}, "seed": 1}, records),
            "--corpus",
            str(corpus),
        ]
        writing += ["--tokenizer", str(tokenizer), "--threads", str(count)]
        rows.append(
            _row(
                "records",
                gigabytes,
                count,
                watch(writing, [records, records.with_name(f"{records.name}.work")]),
            )
        )
        for made in (corpus, records, tokenizer):
            shutil.rmtree(made)
    kept.write_text(json.dumps(rows))
    shutil.rmtree(here)
    return rows


def _row(stage: str, gigabytes: float, workers: int, measured: dict[str, float]) -> dict[str, Any]:
    print(
        (
            f"{stage} {gigabytes:g} GB, {workers} workers: {measured['peak'] / 1e6:.0f} MB, "
            f"{measured['cpu']:.0f} CPU s"
        ),
        flush=True,
    )
    return {"stage": stage, "gigabytes": gigabytes, "workers": workers} | measured


def _words(name: str, settings: dict[str, Any], out: Path) -> list[str]:
    return [sys.executable, "-m", f"scripts.{name}", "--settings", json.dumps(settings), "--out", str(out)]


def _command(name: str, settings: dict[str, Any], out: Path, *more: str) -> None:
    subprocess.run([*_words(name, settings, out), *more], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


def page(rows: list[dict[str, Any]], note: str = "") -> str:
    """The table, by stage, workers and size; `note` tells what else is to be known."""
    lines = [
        f"| {row['stage']} | {row['gigabytes']:g} | {row['workers']} | {row['peak'] / 1e6:.0f} | "
        f"{row['cpu']:.0f} "
        f"| {row['cpu'] / row['gigabytes']:.0f} | {row['wall']:.0f} | {row['disk'] / 1e9:.2f} |\n"
        for row in sorted(rows, key=lambda row: (row["stage"], row["workers"], row["gigabytes"]))
    ]
    return HEAD.format(machine=machine.describe(), note=note and f" {note}") + "".join(lines)


def main() -> None:
    """Measure all sizes and write the page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 0.3, 1, 3])
    arguments.add_argument("--workers", type=int, nargs="+", help="default: 4, and 1 in small worlds")
    arguments.add_argument(
        "--keep", type=Path, help="folder for the worlds and what is measured (default: a temporary one)"
    )
    arguments.add_argument("--out", type=Path, default=RESULT)
    arguments.add_argument(
        "--note", default="", help="a sentence for the page, such as what else ran on the machine"
    )
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for size in options.gigabytes
            for row in measure(folder.resolve(), size, options.workers or WORKERS[size <= ALONE])
        ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(rows, options.note), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
