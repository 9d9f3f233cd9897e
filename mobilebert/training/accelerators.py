"""Finds the device that trains, says what it found, and sets threads and determinism before TensorFlow
starts.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from mobilebert.errors import UserError

LOG = logging.getLogger(__name__)
KINDS = ("auto", "cpu", "gpu", "tpu")
PCI_DEVICES = Path("/sys/bus/pci/devices")
GOOGLE = "0x1ae0"  # PCI vendor
# PCI device ids of TPU chips, as jax's hardware_utils.py lists them (its v2 and v3 share one; asking libtpu
# would take minutes on a machine without a TPU).
TPU_CHIPS = {
    "0x0027": "v3",
    "0x0056": "",
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
    "0x0076": "7x",
}


@dataclass(frozen=True)
class Accelerator:
    """Where a training runs.

    Attributes:
        strategy: the `tf.distribute` strategy; TensorFlow's default one on a single device.
        description: for people, "4 TPU v5e chips".
        devices: replicas, over all hosts; the global batch is split evenly over them.
        kind: "CPU", or "TPU v5e", or "GPU" with its name: what a training must stay on to end as it began.
        threads: of the CPU that trains; 0 where it does not.
        host, hosts: which of several processes this is, one a host, that run the same command (`hosts`).
        fed_here: whether this one program also feeds devices of other hosts (a TPU slice of several).
    """

    strategy: Any
    description: str
    devices: int
    kind: str = "CPU"
    threads: int = 0
    host: int = 0
    hosts: int = 1
    fed_here: bool = False

    @property
    def chief(self) -> bool:
        """Whether this process writes checkpoints and the artifact."""
        return self.host == 0

    @property
    def loops(self) -> bool:
        """Whether the device takes the steps of a call in a loop of its own.

        One CPU is told each step instead: that costs nothing there, and a loop, which carries the handles of
        all variables, took a third of the time to the first step.
        """
        return self.kind != "CPU" or self.devices > 1

    @property
    def environment(self) -> dict[str, Any]:
        """What shapes a training's numbers besides settings and inputs, for `workspace.fingerprint`; a CPU's
        model does not count.
        """
        environment = {"device": self.kind, "devices": self.devices, "tensorflow": tf.__version__}
        return environment | ({"hosts": self.hosts} if self.hosts > 1 else {})

    def scope(self) -> AbstractContextManager[Any]:
        """Create the variables of models and objectives inside this scope."""
        return self.strategy.scope()


def find(kind: str = "auto", threads: int | None = None) -> Accelerator:
    """Choose the device, make TensorFlow deterministic, set its threads, and log what was found.

    Call it once, before anything else uses TensorFlow: threads are fixed when its runtime starts. Where
    TF_CONFIG names several hosts it waits for the others.

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
    chips = tpu_chips(PCI_DEVICES) if kind in ("auto", "tpu") else []
    if kind == "tpu" and not chips:
        raise UserError(
            "training.accelerator: tpu was asked for, but this machine has no TPU chips; set it to auto or "
            "cpu"
        )
    if chips and _tensorflow_has_tpu(insist=kind == "tpu", chips=len(chips)):
        return _logged(_tpu(chips[0]))
    host, hosts = host_rank(os.environ.get("TF_CONFIG", ""))
    gpus = tf.config.list_physical_devices("GPU") if kind != "tpu" else []
    if kind == "gpu" and not gpus:
        raise UserError(
            "training.accelerator: gpu was asked for, but TensorFlow finds none; `make install "
            "DEVICE=gpu`, or set it to auto or cpu"
        )
    if gpus and kind == "cpu":
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    # Before any other use of the runtime: its servers start here, and the hosts meet.
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if hosts > 1 else None
    accelerator = _gpus(gpus, strategy) if gpus else _cpu(threads, strategy)
    if strategy:
        description = f"{hosts} hosts, each with {accelerator.description}; this is number {host}"
        accelerator = replace(
            accelerator,
            description=description,
            devices=strategy.num_replicas_in_sync,
            host=host,
            hosts=hosts,
        )
    return _logged(accelerator, warn=not gpus and kind != "cpu")


def host_rank(tf_config: str) -> tuple[int, int]:
    """This host's number and how many there are, from what TF_CONFIG says; (0, 1) where it says nothing.

    Raises:
        UserError: it is not understood, or names other tasks than workers.
    """
    if not tf_config:
        return 0, 1
    try:
        body = json.loads(tf_config)
        cluster, task = body["cluster"], body["task"]
        host, hosts = int(task["index"]), len(cluster["worker"])
        if set(cluster) != {"worker"} or task["type"] != "worker" or not 0 <= host < hosts:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'TF_CONFIG: expected {{"cluster": {{"worker": ["host0:port", "host1:port"]}}, "task": '
            f'{{"type": "worker", "index": 0}}}}, '
            f"found {tf_config[:200]}; give each host its index, or unset it to train on this machine alone"
        ) from None
    return host, hosts


def tpu_chips(devices: Path) -> list[str]:
    """The generation ("v5e") of each TPU chip among the PCI devices, without starting any runtime."""
    chips = []
    for vendor in sorted(devices.glob("*/vendor")):
        if vendor.read_text().strip() == GOOGLE:
            device = vendor.with_name("device").read_text().strip()
            chips += [TPU_CHIPS[device]] if device in TPU_CHIPS else []
    return chips


def _logged(accelerator: Accelerator, *, warn: bool = False) -> Accelerator:
    if warn:
        LOG.warning("no accelerator: training on %s", accelerator.description)
    else:
        LOG.info("training on %s", accelerator.description)
    return accelerator


def _set_threads(threads: int) -> None:
    # Inter-op threads also bound tf.data's pool, so both get the same number.
    for get, change in (
        (
            tf.config.threading.get_intra_op_parallelism_threads,
            tf.config.threading.set_intra_op_parallelism_threads,
        ),
        (
            tf.config.threading.get_inter_op_parallelism_threads,
            tf.config.threading.set_inter_op_parallelism_threads,
        ),
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
    message = f"{chips} TPU chips found, but this TensorFlow cannot use them; `make install DEVICE=tpu`"
    if insist:
        raise UserError(f"training.accelerator: {message}")
    LOG.warning("%s", message)
    return False


def _tpu(chip: str) -> Accelerator:
    # A slice of several hosts is one program's: TPU_NAME names it, and that program reaches the other hosts'
    # TensorFlow servers.
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=os.environ.get("TPU_NAME") or "local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    strategy = tf.distribute.TPUStrategy(resolver)
    devices = strategy.num_replicas_in_sync
    return Accelerator(
        strategy,
        tpu_description(devices, chip),
        devices,
        f"TPU {chip}".strip(),
        fed_here=strategy.extended.num_hosts > 1,
    )


def tpu_description(devices: int, chip: str) -> str:
    """ "8 TPU v5e chips" from replicas and generation; v2 and v3 show two cores a chip, newer ones a
    device a chip.
    """
    unit = "core" if chip == "v3" else "chip"
    return " ".join(word for word in (str(devices), "TPU", chip, unit + ("s" if devices > 1 else "")) if word)


def _gpus(gpus: list[Any], strategy: Any = None) -> Accelerator:
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = sorted({tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus})
    known = ", ".join(names)
    description = f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({known})"
    if strategy is None:
        strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    return Accelerator(strategy, description, len(gpus), f"GPU {known}")


def _cpu(threads: int | None, strategy: Any = None) -> Accelerator:
    count = threads or os.cpu_count() or 1
    return Accelerator(
        strategy or tf.distribute.get_strategy(),
        f"CPU, {count} thread{'s' if count > 1 else ''}",
        1,
        threads=count,
    )
