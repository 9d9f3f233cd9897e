"""Compiles a TensorFlow step for TPU chips that are not there: the real TPU compiler runs on any machine.

The way (its results: docs/tpu-check.md): TensorFlow lowers one replica's step to HLO, which is platform
neutral before optimisation, with the all-reduces that a TPU strategy puts there; jaxlib writes it as
StableHLO; libtpu compiles that for all chips of a topology. Private modules of TensorFlow, jax and jaxlib do
it, so all of it stays in this module, and benchmarks/requirements-tpu-check.lock pins jax, jaxlib and libtpu
to versions that worked together.

It shows that XLA's TPU compiler takes the program and that it fits the chip. It does not show that
TensorFlow's own TPU runtime runs it.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# Without the first ones libtpu asks the metadata server of a cloud machine, again and again; without the last
# a second process beside this one ends at libtpu's lock file, though neither opens a TPU.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_ID": "0",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
}
# Bytes of high bandwidth memory of a device (Google's TPU documentation, system architecture pages): a chip;
# on v4 half of one, since a topology lists both its cores.
MEMORY = {"v4": 16 * 2**30, "v5e": 16 * 2**30, "v5p": 95 * 2**30, "v6e": 32 * 2**30}
# What may not stand in a step: the host would have to answer.
HOST_OPERATIONS = ("infeed", "outfeed", "send", "recv", "custom_call")


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of a step on one device.

    Attributes:
        seconds: that compiling took.
        flops: floating point operations; the body of a loop (gradient accumulation) counts once.
        arguments, temporaries: bytes; results are written over arguments.
        all_reduces: that stand in the optimised program.
    """

    seconds: float
    flops: float
    arguments: int
    temporaries: int
    all_reduces: int

    @property
    def memory(self) -> int:
        """Bytes that the step needs at once."""
        return self.arguments + self.temporaries

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Refused(Exception):
    """What keeps a step from running on a TPU, naming the operation."""


class Replica(tf.distribute.ReplicaContext):  # type: ignore[misc]
    """What a step sees of a strategy over `count` devices: its number, and all-reduces that XLA lowers.

    TPUStrategy's own operation (CrossReplicaSum) exists for TPUs only; XlaAllReduce becomes the same
    instruction.
    """

    def __init__(self, count: int) -> None:
        from tensorflow.compiler.tf2xla.ops import gen_xla_ops

        super().__init__(tf.distribute.get_strategy(), gen_xla_ops.xla_replica_id())
        self._count, self._operations = count, gen_xla_ops

    @property
    def num_replicas_in_sync(self) -> int:
        """Devices."""
        return self._count

    def all_reduce(self, reduce_op: Any, value: Any, options: Any = None) -> Any:
        """Sum or mean over the devices of each tensor of a structure."""
        del options

        def summed(tensor: Any) -> Any:
            total = self._operations.xla_all_reduce(tensor, [list(range(self._count))], "Add", "CrossReplica")
            return (
                total / tf.cast(self._count, total.dtype)
                if reduce_op == tf.distribute.ReduceOp.MEAN
                else total
            )

        return tf.nest.map_structure(summed, value)


def devices(topology: str) -> list[Any]:
    """The devices of a topology such as `v5e:2x2x1`."""
    _texts()
    os.environ.update(ENVIRONMENT)
    from jax.experimental import topologies

    return list(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)


def lower(step: Callable[..., Any], specs: Sequence[tf.TensorSpec], count: int) -> str:
    """One replica's `step(*specs)` in StableHLO, of `count` replicas; variables that it reads and writes
    become arguments and results.

    Raises:
        Refused: an operation that XLA does not know (strings, Python, files), that asks the host, or that has
            no static shape.
    """
    from jax._src.lib import xla_client

    def one(*arguments: tf.Tensor) -> Any:
        if count == 1:
            return step(*arguments)
        with Replica(count):
            return step(*arguments)

    function = tf.function(one, jit_compile=True, autograph=False)
    try:
        hlo = function.experimental_get_compiler_ir(*specs)(stage="hlo_serialized", platform_name="CPU")
    except (tf.errors.OpError, ValueError) as error:
        raise Refused(f"TensorFlow cannot lower it: {error}") from None
    return checked(xla_client._xla.mlir.xla_computation_to_mlir_module(xla_client.XlaComputation(hlo)))


def checked(program: str) -> str:
    """The program, if nothing in it asks the host and every shape is static.

    Raises:
        Refused: with the operation's line.
    """
    for line in program.splitlines():
        match = re.search(rf"\b(?:stablehlo|mhlo)\.({'|'.join(HOST_OPERATIONS)})\b", line)
        if match:
            raise Refused(f"it asks the host: {line.strip()[:200]}")
        if re.search(r"tensor<[^>]*\?", line):
            raise Refused(f"a shape is not static: {line.strip()[:200]}")
    return program


def compile_for(program: str, there: Sequence[Any]) -> Compiled:
    """Compile a replica's program for `devices`.

    Raises:
        Refused: the compiler's own words, such as too much memory.
    """
    from jax._src.lib import xla_client

    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = len(there), 1
    build = options.executable_build_options
    build.num_replicas, build.num_partitions = len(there), 1
    assignment = xla_client.DeviceAssignment.create(np.arange(len(there)).reshape(-1, 1))
    options.device_assignment = build.device_assignment = assignment
    texts = _texts()
    shutil.rmtree(texts, ignore_errors=True)  # of the program before
    texts.mkdir()
    start = time.monotonic()
    try:
        made = there[0].client.compile(program.encode(), xla_client.DeviceList(tuple(there)), options)
    except Exception as error:
        raise Refused(" ".join(str(error).split())[:300]) from None
    seconds = time.monotonic() - start
    memory, cost = made.get_compiled_memory_stats(), made.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return Compiled(
        seconds, cost["flops"], memory.argument_size_in_bytes, memory.temp_size_in_bytes, all_reduces(texts)
    )


def _texts() -> Path:
    """The folder that libtpu writes its programs to as text; XLA_FLAGS names it, read once at libtpu's start.

    jaxlib cannot write the optimised program ("unknown opcode mulhi": libtpu is newer).
    """
    key, flags = "--xla_dump_to=", os.environ.get("XLA_FLAGS", "")
    match = re.search(rf"{key}(\S+)", flags)
    if match is not None:
        return Path(match[1])
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["XLA_FLAGS"] = f"{flags} {key}{folder} --xla_dump_hlo_as_text".strip()
    return Path(folder)


def all_reduces(texts: Path) -> int:
    """Counted in the one optimised program of a folder that libtpu wrote.

    Raises:
        Refused: there is none.
    """
    written = list(texts.glob("*.after_optimizations.txt"))
    if len(written) != 1:
        raise Refused(
            f"libtpu wrote {len(written)} optimised programs, expected one; its all-reduces cannot be counted"
        )
    return len(re.findall(r" all-reduce(?:-start)?\(", written[0].read_text(encoding="utf-8")))
