"""AdamW and LAMB against the published optimizers written out in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.settings import Optimization
from mobilebert.training.optimizers import LAMB, AdamW, Optimizer, decays, make

NAMES = {
    "encoder.layer.0.output.dense.weight": (3, 2),
    "encoder.layer.0.output.dense.bias": (2,),
    "encoder.layer.0.output.LayerNorm.weight": (2,),
    "embeddings.word_embeddings.weight": (5, 2),
}


def reference(
    weights: dict[str, np.ndarray],
    gradients: list[dict[str, np.ndarray]],
    rates: list[float],
    decay: float,
    clip: float,
    factors: dict,
) -> dict:
    """google-research/bert optimization.py, AdamWeightDecayOptimizer and create_optimizer, one variable
    after the other.
    """
    weights = {name: value.copy() for name, value in weights.items()}
    m = {name: np.zeros_like(value) for name, value in weights.items()}
    v = {name: np.zeros_like(value) for name, value in weights.items()}
    for step, rate in zip(gradients, rates, strict=True):
        norm = np.sqrt(sum((value**2).sum() for value in step.values()))
        for name, gradient in step.items():
            gradient = gradient * min(1.0, clip / norm)
            m[name] = 0.9 * m[name] + 0.1 * gradient
            v[name] = 0.999 * v[name] + 0.001 * gradient**2
            update = m[name] / (np.sqrt(v[name]) + 1e-6)
            if "bias" not in name and "LayerNorm" not in name:
                update = update + decay * weights[name]
            weights[name] = weights[name] - rate * factors.get(name, 1.0) * update
    return weights


def random_values(count: int, scale: float) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(3)
    return [{name: scale * random.normal(size=shape) for name, shape in NAMES.items()} for _ in range(count)]


def made(
    weights: dict[str, np.ndarray], factors: dict[str, float], dtype: str = "float64", **settings: float
) -> tuple[dict, AdamW]:
    variables = {name: tf.Variable(value.astype(dtype)) for name, value in weights.items()}
    return variables, AdamW(variables, factors, Optimization(**settings))


def apply(optimizer: Optimizer, gradients: dict[str, np.ndarray | None], rate: float) -> float:
    given = [gradients[name] for name in optimizer.names]
    dtype = optimizer.variables[0].dtype
    return float(
        optimizer.apply(
            [None if value is None else tf.constant(value, dtype) for value in given],
            tf.constant(rate, tf.float64),
        )
    )


def test_float32_steps_take_one_minus_beta_from_float64() -> None:
    """1 - 0.999 in float32 is 1.3e-5 too small, which makes steps 6e-6 too long."""
    weights, *gradients = random_values(4, 1.0)
    weights = {name: np.zeros_like(value) for name, value in weights.items()}
    variables, optimizer = made(weights, {}, dtype="float32", weight_decay=0.0, clip_norm=100.0)
    for step in gradients:
        apply(optimizer, step, 0.5)
    for name, expected in reference(weights, gradients, [0.5] * 3, 0.0, 100.0, {}).items():
        np.testing.assert_allclose(variables[name].numpy(), expected, rtol=1e-6, atol=1e-6, err_msg=name)


def test_float64_steps_are_exact_with_a_float32_rate() -> None:
    weights, *gradients = random_values(3, 1.0)
    variables, optimizer = made(weights, {}, weight_decay=0.0, clip_norm=100.0)
    for step in gradients:
        given = [tf.constant(step[name], tf.float64) for name in optimizer.names]
        optimizer.apply(given, tf.constant(0.5, tf.float32))
    for name, expected in reference(weights, gradients, [0.5] * 2, 0.0, 100.0, {}).items():
        np.testing.assert_allclose(variables[name].numpy(), expected, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("scale", [0.01, 10.0], ids=["below the clip norm", "clipped"])
def test_steps_equal_the_written_out_bert_optimizer(scale: float) -> None:
    weights, *gradients = random_values(5, 1.0)
    gradients = [{name: scale * value for name, value in step.items()} for step in gradients]
    rates, factors = [0.0, 0.1, 0.05, 0.02], {"embeddings.word_embeddings.weight": 0.1}
    variables, optimizer = made(weights, factors, weight_decay=0.01, clip_norm=1.0)
    for step, rate in zip(gradients, rates, strict=True):
        norm = apply(optimizer, step, rate)
        assert norm == pytest.approx(np.sqrt(sum((value**2).sum() for value in step.values())), rel=1e-12)
    for name, expected in reference(weights, gradients, rates, 0.01, 1.0, factors).items():
        np.testing.assert_allclose(variables[name].numpy(), expected, rtol=1e-10, atol=1e-12, err_msg=name)


def test_float32_steps_stay_close_to_float64() -> None:
    weights, *gradients = random_values(4, 1.0)
    variables, optimizer = made(weights, {}, "float32")
    for step in gradients:
        apply(optimizer, step, 0.01)
    for name, expected in reference(weights, gradients, [0.01] * 3, 0.01, 1.0, {}).items():
        np.testing.assert_allclose(variables[name].numpy(), expected, rtol=1e-4, atol=1e-6, err_msg=name)


def test_biases_and_norms_do_not_decay_and_tables_do() -> None:
    weights = {name: np.ones(shape) for name, shape in NAMES.items()}
    variables, optimizer = made(weights, {}, weight_decay=0.5)
    apply(optimizer, {name: np.zeros(shape) for name, shape in NAMES.items()}, 0.1)
    assert {name: float(value.numpy().flat[0]) for name, value in variables.items()} == pytest.approx(
        {name: 0.95 if decays(name) else 1.0 for name in NAMES}
    )
    assert [name for name in NAMES if decays(name)] == [
        "encoder.layer.0.output.dense.weight",
        "embeddings.word_embeddings.weight",
    ]


def test_a_frozen_variable_does_not_move_has_no_moments_and_counts_in_no_norm() -> None:
    weights, gradient = random_values(2, 1.0)
    frozen = "embeddings.word_embeddings.weight"
    variables, optimizer = made(weights, {frozen: 0.0})
    norm = apply(optimizer, gradient, 0.1)
    np.testing.assert_array_equal(variables[frozen].numpy(), weights[frozen])
    assert frozen not in optimizer.names
    assert not [name for name in optimizer.tensors() if frozen in name]
    assert norm == pytest.approx(
        np.sqrt(sum((value**2).sum() for name, value in gradient.items() if name != frozen))
    )


def test_a_variable_that_the_loss_does_not_reach_stays_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    weights, gradient = random_values(2, 1.0)
    unreached = "encoder.layer.0.output.dense.bias"
    variables, optimizer = made(weights, {})
    apply(optimizer, gradient | {unreached: None}, 0.1)
    np.testing.assert_array_equal(variables[unreached].numpy(), weights[unreached])
    assert unreached in caplog.text


def test_a_gradient_of_looked_up_rows_equals_the_dense_one() -> None:
    weights, gradient = random_values(2, 1.0)
    table = "embeddings.word_embeddings.weight"
    rows = tf.IndexedSlices(
        tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], tf.float64),
        tf.constant([1, 4, 1]),
        tf.constant([5, 2]),
    )
    gradient[table] = np.array([[0, 0], [6, 8], [0, 0], [0, 0], [3, 4]], float)
    variables, optimizer = made(weights, {})
    optimizer.apply(
        [rows if name == table else tf.constant(gradient[name]) for name in optimizer.names],
        tf.constant(0.1, tf.float64),
    )
    expected = reference(weights, [gradient], [0.1], 0.01, 1.0, {})
    np.testing.assert_allclose(variables[table].numpy(), expected[table], rtol=1e-10)


def test_a_factor_for_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ValueError, match="no\\.such\\.name"):
        made(random_values(1, 1.0)[0], {"no.such.name": 0.1})


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="frozen"):
        made(random_values(1, 1.0)[0], dict.fromkeys(NAMES, 0.0))


def lamb_reference(
    weights: dict, gradients: list[dict], rates: list[float], decay: float, clip: float, factors: dict
) -> dict:
    """MobileBERT lamb_optimizer.py, LAMBOptimizer.apply_gradients with optimization.py's clipping, one
    variable after the other.
    """
    weights = {name: value.copy() for name, value in weights.items()}
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in weights.items()}
    for step, rate in zip(gradients, rates, strict=True):
        norm = np.sqrt(sum((value**2).sum() for value in step.values()))
        for name, value in step.items():
            excluded = "bias" in name or "LayerNorm" in name
            gradient = value * min(1.0, clip / norm)
            first, second = moments[name]
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            moments[name] = first, second
            update = first / (np.sqrt(second) + 1e-6) + (0.0 if excluded else decay * weights[name])
            w, u = np.sqrt((weights[name] ** 2).sum()), np.sqrt((update**2).sum())
            ratio = w / u if not excluded and w > 0 and u > 0 else 1.0
            weights[name] = weights[name] - factors.get(name, 1.0) * ratio * rate * update
    return weights


@pytest.mark.parametrize("scale", [0.01, 10.0], ids=["below the clip norm", "clipped"])
def test_lamb_steps_equal_the_written_out_mobilebert_optimizer(scale: float) -> None:
    weights, *gradients = random_values(5, 1.0)
    weights["embeddings.word_embeddings.weight"][:] = 0  # a length of 0 gives the ratio 1
    gradients = [{name: scale * value for name, value in step.items()} for step in gradients]
    rates, factors = (
        [1e-3, 0.0, 0.05, 0.02],
        {"encoder.layer.0.output.dense.weight": 3.0, "encoder.layer.0.output.dense.bias": 0.3},
    )
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    optimizer = make(variables, factors, Optimization(optimizer="lamb"))
    assert isinstance(optimizer, LAMB)
    for step, rate in zip(gradients, rates, strict=True):
        apply(optimizer, step, rate)
    for name, expected in lamb_reference(weights, gradients, rates, 0.01, 1.0, factors).items():
        np.testing.assert_allclose(variables[name].numpy(), expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_adamw_is_what_the_settings_name_or_leave_open() -> None:
    variables = {"a": tf.Variable([1.0])}
    assert [type(make(variables, {}, Optimization(optimizer=name))) for name in (None, "adamw", "lamb")] == [
        AdamW,
        AdamW,
        LAMB,
    ]


def test_counted_variables_stand_still_and_count_in_the_norm() -> None:
    weights, gradient = random_values(2, 3.0)
    counted = "embeddings.word_embeddings.weight"
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    optimizer = make(variables, {counted: 0.0}, Optimization(), [counted])
    given = [tf.constant(gradient[name]) for name in [*optimizer.names, counted]]
    norm = float(optimizer.apply(given, tf.constant(0.1, tf.float64)))
    assert norm == pytest.approx(np.sqrt(sum((value**2).sum() for value in gradient.values())), rel=1e-12)
    expected = reference(weights, [gradient], [0.1], 0.01, 1.0, {counted: 0.0})
    for name, variable in variables.items():
        np.testing.assert_allclose(variable.numpy(), expected[name], rtol=1e-10, err_msg=name)
    assert not [name for name in optimizer.tensors() if counted in name]


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
@pytest.mark.parametrize("clip", ["global", "per_replica"])
@pytest.mark.parametrize(
    "wrong", ["a gradient is no number", "a gradient is infinite", "a replica is not sound"]
)
def test_a_step_that_is_left_out_changes_neither_weights_nor_moments(
    optimizer: str, clip: str, wrong: str
) -> None:
    weights, first, second, third = random_values(4, 1.0)
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    made = make(variables, {}, Optimization(optimizer=optimizer, clip=clip))
    apply(made, first, 0.1)
    before = {name: variable.numpy() for name, variable in made.tensors().items()}
    if wrong != "a replica is not sound":
        second["embeddings.word_embeddings.weight"][2, 1] = np.nan if "number" in wrong else np.inf
    given = [tf.constant(second[name]) for name in made.names]
    made.apply(given, tf.constant(0.1, tf.float64), tf.constant(not wrong.startswith("a replica")))
    for name, variable in made.tensors().items():
        np.testing.assert_array_equal(variable.numpy(), before[name], err_msg=name)
    apply(made, third, 0.1)
    assert all(
        np.isfinite(variable.numpy()).all() and (variable.numpy() != before[name]).any()
        for name, variable in made.tensors().items()
    )
