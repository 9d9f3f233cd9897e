"""How long one input takes on one thread of this machine.

The figures belong to the machine, never to an artifact.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from mobilebert import tokenization
from mobilebert.exporting import network, tflite
from mobilebert.exporting.network import INPUTS
from mobilebert.exporting.probes import probes
from mobilebert.settings import Export
from mobilebert.storage import artifacts

WARM_UP = 3  # runs before the clock counts
RUNS = 30
SECONDS = 20.0  # a large model is run less often than RUNS, at least MINIMUM_RUNS times
MINIMUM_RUNS = 5


def measure(export: Path, export_format: str, settings: Export) -> dict[str, Any]:
    """Time one sentence, padded to `settings.sequence_length`, batch 1, one thread.

    "tflite": the file in LiteRT. "transformers": the same weights in our own TensorFlow forward, traced. Call
    `network.prepare(1)` before, so that TensorFlow has one thread too.

    Returns:
        {"format", "engine", "threads", "batch", "sequence_length", "runs", "median_ms", "minimum_ms",
        "maximum_ms", "bytes", "machine"}; `bytes` is the size of the weights' file.
    """
    artifacts.read(export, "export")
    loaded = network.load(export) if export_format != "tflite" else None
    if loaded is None:
        runner = tflite.Runner(export / tflite.FILE, threads=1)
        length = runner.inputs["input_ids"]["shape"][1]
        engine, call, weights = "LiteRT", runner.run, export / tflite.FILE
    else:
        length = min(settings.sequence_length, loaded.model.config.max_position_embeddings)
        traced = tf.function(
            loaded, input_signature=[tf.TensorSpec((1, length), tf.int32, name=name) for name in INPUTS]
        )
        engine, weights = f"TensorFlow {tf.__version__}", export / "model.safetensors"

        def call(batch: network.Batch) -> Any:
            return traced(**{name: tf.constant(batch[name]) for name in INPUTS}).numpy()

    batch = probes(tokenization.load(export), length, seed=0)[0]
    taken = _times(lambda: call(batch))
    return {
        "format": export_format,
        "engine": engine,
        "threads": 1,
        "batch": 1,
        "sequence_length": length,
        "runs": len(taken),
        "median_ms": round(statistics.median(taken) * 1e3, 3),
        "minimum_ms": round(min(taken) * 1e3, 3),
        "maximum_ms": round(max(taken) * 1e3, 3),
        "bytes": weights.stat().st_size,
        "machine": _processor(),
    }


def _times(call: Callable[[], Any]) -> list[float]:
    """Seconds of each counted run."""
    for _ in range(WARM_UP):
        call()
    taken: list[float] = []
    while len(taken) < RUNS and (len(taken) < MINIMUM_RUNS or sum(taken) < SECONDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def _processor() -> str:
    """The processor's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
