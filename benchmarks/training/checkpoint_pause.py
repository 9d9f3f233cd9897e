"""How long the training loop waits for a checkpoint, with and without copies in a bucket (a loopback one, in
its own process), in turns.

.venv/bin/python -m benchmarks.training.checkpoint_pause [--megabytes 100]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from mobilebert.training.state import workspace
from tests.loopback_gcs import LoopbackGcs


def main() -> None:
    """Measure in turns and print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100, help="size of a checkpoint")
    parser.add_argument("--checkpoints", type=int, default=9, help="of each kind")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    os.environ["STORAGE_EMULATOR_HOST"] = ours.recv()
    tensors = {"weights": np.random.default_rng(1).random(options.megabytes * 250_000, np.float32)}
    pauses: dict[str, list[tuple[float, float]]] = {"local": [], "bucket": []}
    with tempfile.TemporaryDirectory() as scratch:
        buckets = {"local": "", "bucket": "gs://states/run"}
        for step in range(1, options.checkpoints + 1):
            for kind, bucket in buckets.items():
                with workspace.open_state(Path(scratch), kind, "12" * 32, bucket=bucket) as run_state:
                    # The one before is on its way while this one is written.
                    for number in (2 * step, 2 * step + 1):
                        wall, cpu = time.perf_counter(), time.thread_time()
                        run_state.save(number, tensors)
                    pauses[kind].append((time.perf_counter() - wall, time.thread_time() - cpu))
    for kind, pairs in pauses.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{kind:7s} {wall * 1000:.0f} ms a checkpoint of {options.megabytes} MB, {cpu * 1000:.0f} ms "
            f"of them CPU of the loop's thread"
        )
    server.terminate()


def _serve(answer: Connection) -> None:
    with LoopbackGcs("states") as server:
        answer.send(server.address)
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
