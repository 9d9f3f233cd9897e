"""What the matrix products of `make bench-training` cost by arithmetic, and the most that a stage can gain by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

from benchmarks import training_work as work
from mobilebert.models import describing, shapes, tensors

TOLD = """
By arithmetic the products are {whole:.0f} GFLOP untrimmed, {trimmed:.0f} in the mean stage ({less:.2f} times less) and {frozen:.0f} in the
mean frozen stage ({less_frozen:.2f} times less): the teacher's layers up to the stage's, most of the work, are computed in all of them.
More is gained by what is no product: losses of one layer instead of twelve, norms, optimizer. At the highest rate that any stage reached
here, {fastest:.0f} GFLOP/s, products alone allow at most {most:.2f} and {most_frozen:.2f} times the untrimmed step. Where bfloat16
products are cheap (AMX, TPUs), the rest weighs more.
"""


def products(kind: str) -> float:
    """GFLOP of the products of one transfer step, 2 for each multiply-add; `kind` is untrimmed, layerNN or frozenNN.

    Forward once; backward twice as much, since both factors of a product get gradients; but a layer's input gets none where all below it
    is frozen.
    """
    layers = work.LAYERS if kind == "untrimmed" else int(kind[-2:])
    embedding, own = _parts("base-f4")
    forward = embedding + layers * own + layers * _parts("bert-base")[1]
    if kind.startswith("frozen") and layers > 1:
        return forward + 2 * own - _on_input()
    return forward + 2 * (embedding + layers * own)


def _parts(name: str) -> tuple[float, float]:
    """GFLOP of the embeddings and of one layer for a batch, forward."""
    shape = shapes.named(name, work.VOCABULARY)
    one, two = (describing.cost(replace(shape, num_hidden_layers=layers)).flops[work.LENGTH] * work.BATCH / 1e9 for layers in (1, 2))
    return one - (two - one), two - one


def _on_input() -> float:
    """GFLOP of the products of a student's layer that take its input, for a batch, forward."""
    shape = shapes.named("base-f4", work.VOCABULARY)
    kernels = (tensor.shape for tensor in tensors.layer(shape, 1).values() if tensor.kind is tensors.Kind.KERNEL)
    return 2 * work.BATCH * work.LENGTH * sum(wide * out for wide, out in kernels if wide == shape.hidden_size) / 1e9


def mean_products(name: str) -> float:
    """GFLOP a step, mean over the stages; `name` is layer or frozen."""
    return mean(products(f"{name}{stage:02d}") for stage in range(1, work.LAYERS + 1))


def rate(progressive: Mapping[str, Any]) -> float:
    """The most GFLOP/s of products that any of our measured stages reached."""
    stages = progressive["stages"]
    return max(products(f"{name}{stage:02d}") / arm["seconds"] for stage, arms in stages.items() for name, arm in arms.items())


def told(progressive: Mapping[str, Any]) -> str:
    """A paragraph for the report."""
    whole, fastest, seconds = products("untrimmed"), rate(progressive), progressive["untrimmed"]["seconds"]
    trimmed, frozen = (mean_products(name) for name in ("layer", "frozen"))
    return TOLD.format(
        whole=whole,
        trimmed=trimmed,
        frozen=frozen,
        less=whole / trimmed,
        less_frozen=whole / frozen,
        fastest=fastest,
        most=seconds * fastest / trimmed,
        most_frozen=seconds * fastest / frozen,
    )
