"""What the matrix products of `make bench-training` cost by arithmetic, and the most that a stage can gain
by them.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from benchmarks.training import workload as work
from mobilebert.models import configs, model_size, parameters

ARMS = ("layer", "frozen")
TOLD = """
By arithmetic the products are {whole:.0f} GFLOP untrimmed, {layer:.0f} in the mean stage ({less:.2f} times
less) and {frozen:.0f} in the mean frozen stage ({less_frozen:.2f} times less) where the teacher's layers up
to the stage's are computed in each, which is most of the work. More is gained by what is no product: losses
of one layer instead of twelve, norms, optimizer.
"""


def products(kind: str) -> float:
    """GFLOP of the products of one transfer step, 2 for each multiply-add; `kind` is untrimmed, layerNN or
    frozenNN.

    Forward once; backward twice as much, since both factors of a product get gradients; but a layer's input
    gets none where all below it is frozen.
    """
    layers = work.LAYERS if kind == "untrimmed" else int(kind[-2:])
    embedding, own = _parts("base-f4")
    forward = embedding + layers * (own + _parts("bert-base")[1])
    if "frozen" in kind and layers > 1:
        return forward + 2 * own - _on_input()
    return forward + 2 * (embedding + layers * own)


def _parts(name: str) -> tuple[float, float]:
    """GFLOP of the embeddings and of one layer for a batch, forward."""
    config = configs.named(name, work.VOCABULARY)
    one, two = (
        model_size.cost(replace(config, num_hidden_layers=layers)).flops[work.LENGTH] * work.BATCH / 1e9
        for layers in (1, 2)
    )
    return one - (two - one), two - one


def _on_input() -> float:
    """GFLOP of the products of a student's layer that take its input, for a batch, forward."""
    config = configs.named("base-f4", work.VOCABULARY)
    kernels = (
        tensor.shape
        for tensor in parameters.layer(config, 1).values()
        if tensor.kind is parameters.Kind.KERNEL
    )
    return (
        2
        * work.BATCH
        * work.LENGTH
        * sum(wide * out for wide, out in kernels if wide == config.hidden_size)
        / 1e9
    )


def mean_products(name: str) -> float:
    """GFLOP a step, mean over the stages; `name` is a kind without its number."""
    return mean(products(f"{name}{stage:02d}") for stage in range(1, work.LAYERS + 1))


def paragraph() -> str:
    """A paragraph for the report."""
    whole = products("untrimmed")
    means = {name: mean_products(name) for name in ARMS}
    less = {("less_" + name).replace("less_layer", "less"): whole / one for name, one in means.items()}
    return TOLD.format(whole=whole, **means, **less)
