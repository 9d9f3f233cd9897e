"""Finds the device that trains, says what it found, and sets threads and determinism before TensorFlow starts."""

from __future__ import annotations

import importlib.util
import logging
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from mobilebert.errors import UserError

LOG = logging.getLogger(__name__)
KINDS = ("auto", "cpu", "gpu", "tpu")
# What a TPU VM shows its chips as: /dev/accelN up to v4, /dev/vfio/N from v5e on (docs.cloud.google.com/tpu/docs).
TPU_DEVICE_FILES = ("accel[0-9]*", "vfio/[0-9]*")


@dataclass(frozen=True)
class Accelerator:
    """Where a training runs.

    Attributes:
        strategy: the `tf.distribute` strategy; TensorFlow's default one on a single device.
        description: for people, "4 TPU v5e chips".
        devices: replicas; the global batch is split evenly over them.
    """

    strategy: Any
    description: str
    devices: int

    def scope(self) -> AbstractContextManager[Any]:
        """Create the variables of models and objectives inside this scope."""
        return self.strategy.scope()


def find(kind: str = "auto", threads: int | None = None) -> Accelerator:
    """Choose the device, make TensorFlow deterministic, set its threads, and log what was found.

    Call it once, before anything else uses TensorFlow: threads are fixed when its runtime starts.

    Args:
        kind: "auto" takes TPU, then GPU, then CPU; the others insist.
        threads: threads of one operation and between operations; None leaves TensorFlow's choice.

    Raises:
        UserError: when the device that `kind` insists on is not there.
    """
    if kind not in KINDS:
        raise UserError(f"training.accelerator: '{kind}' is none of {', '.join(KINDS)}")
    tf.config.experimental.enable_op_determinism()
    if threads is not None:
        _set_threads(threads)
    chips = tpu_device_files(Path("/dev")) if kind in ("auto", "tpu") else []
    if kind == "tpu" and not chips:
        raise UserError(
            "training.accelerator: tpu was asked for, but there are no TPU chips (/dev/accel*, /dev/vfio/*) here; set it to auto or cpu"
        )
    if chips and _tensorflow_has_tpu(insist=kind == "tpu", chips=len(chips)):
        return _said(_tpu())
    gpus = tf.config.list_physical_devices("GPU") if kind != "tpu" else []
    if kind == "gpu" and not gpus:
        raise UserError(
            "training.accelerator: gpu was asked for, but TensorFlow finds none; `make install DEVICE=gpu`, or set it to auto or cpu"
        )
    if kind == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif gpus:
        return _said(_gpus(gpus))
    return _said(_cpu(threads), warn=kind != "cpu")


def tpu_device_files(devices: Path) -> list[Path]:
    """The device files of TPU chips below `/dev` (or a folder that stands for it)."""
    return sorted(path for pattern in TPU_DEVICE_FILES for path in devices.glob(pattern))


def _said(found: Accelerator, *, warn: bool = False) -> Accelerator:
    if warn:
        LOG.warning("no accelerator: training on %s", found.description)
    else:
        LOG.info("training on %s", found.description)
    return found


def _set_threads(threads: int) -> None:
    # Inter-op threads also bound tf.data's pool, so both get the same number.
    for get, change in (
        (tf.config.threading.get_intra_op_parallelism_threads, tf.config.threading.set_intra_op_parallelism_threads),
        (tf.config.threading.get_inter_op_parallelism_threads, tf.config.threading.set_inter_op_parallelism_threads),
    ):
        if get() != threads:
            try:
                change(threads)
            except RuntimeError:
                LOG.warning("TensorFlow had already started, so it keeps its threads instead of %d", threads)
                return


def _tensorflow_has_tpu(*, insist: bool, chips: int) -> bool:
    if importlib.util.find_spec("libtpu") is not None:
        return True
    message = f"{chips} TPU device files found, but this TensorFlow cannot use them; `make install DEVICE=tpu`"
    if insist:
        raise UserError(f"training.accelerator: {message}")
    LOG.warning("%s", message)
    return False


def _tpu() -> Accelerator:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    strategy = tf.distribute.TPUStrategy(resolver)
    devices = strategy.num_replicas_in_sync
    return Accelerator(strategy, tpu_description(devices, os.environ), devices)


def tpu_description(devices: int, environment: Any) -> str:
    """ "8 TPU v5e chips" from the number of replicas and the VM's environment; v2 and v3 show two cores a chip."""
    kind = (environment.get("TPU_ACCELERATOR_TYPE") or environment.get("ACCELERATOR_TYPE") or "").split("-")[0]
    kind = {"v5litepod": "v5e"}.get(kind, kind)
    unit = "core" if kind in ("v2", "v3") else "chip"
    return " ".join(part for part in (str(devices), "TPU", kind, unit + ("s" if devices > 1 else "")) if part)


def _gpus(gpus: list[Any]) -> Accelerator:
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = sorted({tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus})
    description = f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({', '.join(names)})"
    strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    return Accelerator(strategy, description, len(gpus))


def _cpu(threads: int | None) -> Accelerator:
    count = threads or os.cpu_count() or 1
    return Accelerator(tf.distribute.get_strategy(), f"CPU, {count} thread{'s' if count > 1 else ''}", 1)
