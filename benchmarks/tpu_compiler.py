"""Compiles a TensorFlow step for a TPU that is not there: the real TPU compiler runs on any machine.

The way (reference/cloud.md section 3): TensorFlow lowers the step to HLO, which is platform neutral before optimisation; jaxlib
writes it as StableHLO; libtpu compiles that for a topology. Private modules of jax and jaxlib do it, so all of it stays in this
module, and benchmarks/requirements-tpu-check.lock pins jax, jaxlib and libtpu to versions that worked together.

It shows that XLA's TPU compiler takes the program and that it fits the chip. It does not show that TensorFlow's own TPU runtime runs it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

# Without these libtpu asks the metadata server of a cloud machine, again and again.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_ID": "0",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "JAX_PLATFORMS": "cpu",
}
# Bytes of high bandwidth memory a chip has (Google's TPU documentation, system architecture pages).
MEMORY = {"v4": 32 * 2**30, "v5e": 16 * 2**30, "v6e": 32 * 2**30}
# What may not stand in a step: the host would have to answer.
HOST_OPERATIONS = ("infeed", "outfeed", "send", "recv", "custom_call")
_ARGUMENT = re.compile(r"%arg(\d+): (tensor<([^>]*)>)(?: \{[^}]*\})?( loc\([^)]*\))?")


@dataclass(frozen=True)
class Program:
    """A step in StableHLO: its text, and how many of its first arguments are split over the chips (they start with the batch)."""

    text: str
    split: int


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of a step on one chip: seconds it took, floating point operations, bytes, all-reduces (None: not readable)."""

    seconds: float
    flops: float
    arguments: int
    temporaries: int
    all_reduces: int | None

    @property
    def memory(self) -> int:
        """Bytes that the step needs at once; results are written over arguments."""
        return self.arguments + self.temporaries


class Refused(Exception):
    """What keeps a step from running on a TPU, naming the operation."""


def lower(step: Callable[..., Any], batch: Sequence[tf.TensorSpec], others: Sequence[tf.TensorSpec]) -> Program:
    """Lower `step(*batch, *others)`; variables that it reads and writes become arguments and results.

    Raises:
        Refused: an operation that XLA does not know (strings, Python, files), that asks the host, or that has no static shape.
    """
    from jax._src.lib import xla_client

    function = tf.function(step, jit_compile=True, autograph=False)
    try:
        hlo = function.experimental_get_compiler_ir(*batch, *others)(stage="hlo_serialized", platform_name="CPU")
    except (tf.errors.OpError, ValueError) as error:
        raise Refused(f"TensorFlow cannot lower it: {error}") from None
    text = xla_client._xla.mlir.xla_computation_to_mlir_module(xla_client.XlaComputation(hlo))
    return checked(Program(text, len(batch)))


def checked(program: Program) -> Program:
    """The program, if nothing in it asks the host and every shape is static.

    Raises:
        Refused: with the operation's line.
    """
    for line in program.text.splitlines():
        found = re.search(rf"\b(?:stablehlo|mhlo)\.({'|'.join(HOST_OPERATIONS)})\b", line)
        if found:
            raise Refused(f"it asks the host: {line.strip()[:200]}")
        if re.search(r"tensor<[^>]*\?", line):
            raise Refused(f"a shape is not static: {line.strip()[:200]}")
    return program


def compile_for(program: Program, topology: str) -> Compiled:
    """Compile for all chips of a topology (`v5e:2x2x1`), the batch split over them, everything else on each.

    Raises:
        Refused: the compiler's own words, such as too much memory.
    """
    os.environ.update(ENVIRONMENT)
    from jax._src.lib import xla_client
    from jax.experimental import topologies

    devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = 1, len(devices)
    build = options.executable_build_options
    build.num_replicas, build.num_partitions, build.use_spmd_partitioning = 1, len(devices), len(devices) > 1
    assignment = xla_client.DeviceAssignment.create(np.arange(len(devices)).reshape(1, -1))
    options.device_assignment = build.device_assignment = assignment
    start = time.monotonic()
    try:
        made = devices[0].client.compile(split(program, len(devices)).encode(), xla_client.DeviceList(tuple(devices)), options)
    except Exception as error:
        raise Refused(" ".join(str(error).split())[:300]) from None
    seconds = time.monotonic() - start
    memory, cost = made.get_compiled_memory_stats(), made.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return Compiled(seconds, cost["flops"], memory.argument_size_in_bytes, memory.temp_size_in_bytes, _all_reduces(made))


def _all_reduces(made: Any) -> int | None:
    try:
        text = made.hlo_modules()[0].to_string()
    except Exception:  # "Unknown opcode": libtpu is newer than jaxlib, and some of its operations have no text
        return None
    return len(re.findall(r" all-reduce(?:-start)?\(", text))


def split(program: Program, chips: int) -> str:
    """The program's text with its arguments laid out over the chips: the first ones by their first dimension, the others whole on each."""
    if chips == 1:
        return program.text
    start = program.text.index("@main")
    end = program.text.index("\n", start)

    def laid_out(found: re.Match[str]) -> str:
        number, tensor, inside, location = found.groups()
        rank = inside.count("x")
        layout = (
            f"{{devices=[{','.join([str(chips), *['1'] * (rank - 1)])}]<=[{chips}]}}" if int(number) < program.split else "{replicated}"
        )
        return f'%arg{number}: {tensor} {{mhlo.sharding = "{layout}"}}{location or ""}'

    return program.text[:start] + _ARGUMENT.sub(laid_out, program.text[start:end]) + program.text[end:]
