"""A job per layer against the published program: one run, gates on the step, an optimizer written out in
NumPy.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors import safe_open

from mobilebert.distillation import recipes, stage_schedule
from mobilebert.distillation.stage_schedule import Stage
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.errors import UserError
from mobilebert.settings import Optimization, Settings, Training, Transfer
from mobilebert.training import loop, schedules
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.state import workspace

S, LAYERS, RATE, DECAY = 3, 2, 3e-3, 0.5  # a decay so strong that waiting shows
HERE = Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)


def batch_at(batch: dict[str, np.ndarray], place: int) -> dict[str, np.ndarray]:
    """A batch of its own for every place in the records."""
    order = np.random.default_rng(place).permutation(len(batch["input_ids"]))
    rolled = np.roll(batch["input_ids"], place, axis=0)[order] * batch["input_mask"]
    return batch | {"input_ids": rolled.astype(np.int32)}


def published_loss(student: Any, teacher: Any, batch: dict[str, np.ndarray], layer: int) -> tf.Tensor:
    """The four terms of one layer (from 0 on) as run_pretraining.py writes them, of the whole models."""
    inputs = batch["input_ids"], batch["segment_ids"], batch["input_mask"]
    theirs, ours = teacher.encode(*inputs), student.encode(*inputs)

    def normalised(x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return (x - mean) / tf.sqrt(variance + 1e-12)

    t, s, every = theirs.hidden[layer + 1], ours.hidden[layer + 1], tf.stack(theirs.hidden)
    feature = tf.reduce_mean((normalised(t) - normalised(s)) ** 2) * 100 / LAYERS
    chances = tf.nn.softmax(theirs.scores[layer])
    attention = -tf.reduce_mean(tf.reduce_sum(chances * tf.nn.log_softmax(ours.scores[layer]), -1)) / LAYERS
    mean = tf.reduce_mean((tf.reduce_mean(every, -1) - tf.reduce_mean(s, -1)) ** 2) * 5000 / LAYERS
    variance = (
        tf.reduce_mean(tf.abs(tf.math.reduce_variance(every, -1) - tf.math.reduce_variance(s, -1)))
        * 5
        / LAYERS
    )
    return feature + attention + mean + variance


def multiplier(name: str, step: int) -> float:
    """distill_util.py's layer-wise rate: 3 * background * (0 before, 1 in, 0.1 after the layer's phase);
    nothing outside the layers.
    """
    found = re.search(r"encoder\.layer\.(\d+)\.", name)
    if not found:
        return 0.0
    begin, x = int(found[1]) * S, (step % S) / S
    return (
        3.0
        * min(0.9 + 0.1 * np.sqrt(1 - x), 10 * x)
        * (0.0 if step <= begin else 1.0 if step <= begin + S else 0.1)
    )


def published_run(
    student: Any, teacher: Any, batch: dict[str, np.ndarray], optimizer: str
) -> list[dict[str, np.ndarray]]:
    """The weights after steps S and 2 S, each stage's last.

    The MLM head is in no loss, so it has no gradient (tf.gradients gives None) and stays.
    """
    variables = {name: v for name, v in student.variables_by_name.items() if not name.startswith("cls.")}
    weights = {name: v.numpy().astype(np.float64) for name, v in variables.items()}
    m, v = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))

    snapshots = []
    for step in range(2 * S + 1):
        layer = next((k for k in range(LAYERS) if k * S < step <= (k + 1) * S), None)
        gradients = {name: np.zeros_like(value) for name, value in weights.items()}
        if layer is not None:
            with tf.GradientTape() as tape:
                loss = published_loss(student, teacher, batch_at(batch, step), layer)
            for name, gradient in zip(variables, tape.gradient(loss, list(variables.values())), strict=True):
                if gradient is not None:
                    gradients[name] = tf.convert_to_tensor(gradient).numpy().astype(np.float64)
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        for name, gradient in gradients.items():
            gradient = gradient / max(1.0, norm)
            factor = 1.0 if optimizer == "adamw" else multiplier(name, step)
            gate = 1.0 if optimizer == "adamw" else float(factor > 0)
            excluded = "bias" in name or "LayerNorm" in name
            m[name] = gate * (0.9 * m[name] + 0.1 * gradient)
            v[name] = gate * (0.999 * v[name] + 0.001 * gradient**2)
            update = m[name] / (np.sqrt(v[name]) + 1e-6) + (0.0 if excluded else gate * DECAY * weights[name])
            lengths = np.linalg.norm(weights[name]), np.linalg.norm(update)
            ratio = (
                lengths[0] / lengths[1] if optimizer == "lamb" and not excluded and min(lengths) > 0 else 1.0
            )
            weights[name] = weights[name] - factor * ratio * RATE * update
            variables[name].assign(weights[name].astype(np.float32))
        if step in (S, 2 * S):
            snapshots.append({name: value.numpy() for name, value in student.variables_by_name.items()})
    return snapshots


def resolved(recipe: str, **transfer: Any) -> Transfer:
    """The settings of a transfer as a stage gets them."""
    return recipes.resolve(
        Settings.model_validate({"recipe": recipe, "transfer": Transfer(**transfer)})
    ).transfer


def job(
    recipe: str,
    name: str,
    student: Any,
    teacher: Any,
    batch: Any,
    folder: Path,
    previous: Path | None,
    **more: Any,
) -> list[int]:
    """One stage as `stages.transfer_layer` runs it; the places in the records that it saw."""
    seen = []

    def batches(start: int) -> tf.data.Dataset:
        seen.append(start)
        return tf.data.Dataset.from_generator(
            lambda: (batch_at(batch, place) for place in range(start, 1000)),
            output_signature={key: tf.TensorSpec(value.shape, value.dtype) for key, value in batch.items()},
        )

    training = Optimization(
        steps=S, learning_rate=RATE, weight_decay=DECAY, decay="constant", batch_size=len(batch["input_ids"])
    )
    settings = resolved(recipe, training=training, losses="published", **more)
    stage = Stage(name, recipe, settings, LAYERS)
    objective = TransferObjective(student, teacher, settings, name, recipe)
    stage.wait(student, objective)
    span = stage.continued(objective, previous)
    made = loop.Job(name, objective, batches, stage.optimization, Training(steps_per_call=3), 1, span)
    folder.mkdir()
    with workspace.open_state(folder / "state", name, "0" * 64) as held:
        tensors = loop.train(made, HERE, held, folder / "metrics.jsonl", 1e9, None).tensors
    stage_schedule.save(folder / stage_schedule.FILE, tensors, span, training.batch_size)
    return seen


@pytest.fixture
def twin(student: Any) -> Any:
    """Another student of the same weights."""
    from mobilebert import models

    return models.build(student.config, 1)


@pytest.mark.parametrize(("recipe", "optimizer"), [("chinese", "adamw"), ("google", "lamb")])
def test_a_job_a_layer_equals_the_published_run(student, twin, teacher, batch, tmp_path, recipe, optimizer):
    before = {name: value.numpy() for name, value in twin.variables_by_name.items()}
    first, whole = published_run(twin, teacher, batch, optimizer)
    job(recipe, "layer01", student, teacher, batch, tmp_path / "1", None)
    same(
        student, first
    )  # after each stage the jobs stand where the run stands at that step, waiting layers included
    (seen,) = job(recipe, "layer02", student, teacher, batch, tmp_path / "2", tmp_path / "1")
    same(student, whole)
    assert seen == S + 1
    waited = "mobilebert.encoder.layer.1.output.bottleneck.dense.weight"
    assert not np.allclose(whole[waited], before[waited], rtol=1e-3)
    table = "mobilebert.embeddings.word_embeddings.weight"
    assert np.array_equal(whole[table], before[table]) != (
        recipe == "chinese"
    )  # Google's multipliers freeze what is no layer


def same(student: Any, expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(
            student.variables_by_name[name].numpy(), value, rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_waiting_is_the_product_of_the_steps_decays():
    values = {
        "a.dense.weight": tf.Variable([2.0, -1.0]),
        "a.dense.bias": tf.Variable([2.0]),
        "b.dense.weight": tf.Variable([1.0]),
    }
    optimization = Optimization(
        steps=50, learning_rate=0.1, warmup_steps=5, decay="linear", weight_decay=0.2, end_rate=0.1
    )
    stage_schedule.wait(values, ["a.dense.weight", "a.dense.bias"], optimization, 0, 29)
    expected = 1.0
    for step in range(30):
        rate = 0.1 * step / 5 if step < 5 else 0.01 + 0.09 * (1 - step / 50)
        expected *= 1 - rate * 0.2
    np.testing.assert_allclose(values["a.dense.weight"], [2 * expected, -expected], rtol=1e-6)
    assert float(values["a.dense.bias"][0]) == 2.0
    assert float(values["b.dense.weight"][0]) == 1.0


def test_the_last_layer_of_the_chinese_base_recipe_waits_down_to_the_measured_share():
    # The reference page's figure: exp(-1e-6 * 500000 * 11 / 12) = 0.63.
    kernel = {"x.dense.weight": tf.Variable([1.0])}
    stage_schedule.wait(
        kernel, list(kernel), Optimization(steps=500000, learning_rate=1e-4, decay="constant"), 0, 11 * 41666
    )
    assert float(kernel["x.dense.weight"][0]) == pytest.approx(np.exp(-1e-6 * 500000 * 11 / 12), rel=1e-4)


def test_spans_of_the_recipes():
    optimization = Optimization(steps=10, decay="constant")
    found = {}
    for recipe in ("ours", "chinese", "google"):
        spans = [stage_schedule.span(recipe, optimization, place, 3)[1] for place in range(3)]
        found[recipe] = [(span.start, span.stop, span.origin) for span in spans]
    assert found == {
        "ours": [(0, 10, 0), (0, 10, 10), (0, 10, 20)],
        "chinese": [(1, 11, 0), (11, 21, 0), (21, 31, 0)],
        "google": [(1, 10, 0), (1, 10, 10), (1, 10, 20)],
    }
    assert stage_schedule.span("chinese", optimization, 1, 3)[0].steps == 30


def test_googles_rate_within_a_stage():
    steps = np.arange(0, 1000)
    x = steps / 1000
    np.testing.assert_allclose(
        schedules.phase(tf.constant(steps), 1000), np.minimum(0.9 + 0.1 * np.sqrt(1 - x), 10 * x), rtol=1e-5
    )


def test_google_multiplies_own_and_earlier_layers_and_freezes_the_rest(student, teacher):
    objective = TransferObjective(student, teacher, resolved("google"), "layer02", "google")
    factors = {name: objective.learning_rate_multipliers.get(name, 1.0) for name in objective.variables}
    for name, factor in factors.items():
        layer = re.search(r"layer\.(\d)\.", name)
        assert factor == pytest.approx(0.0 if layer is None else 3.0 if layer[1] == "1" else 0.3)
    assert set(objective.counted) == set(student.embedding_names)


def test_equal_states_are_equal_bytes(tmp_path):
    written = set()
    for _ in range(8):
        stage_schedule.save(
            tmp_path / "same",
            {"first_moments/a": np.ones(3), "second_moments/a": np.ones(3)},
            loop.Span(1, 5),
            4,
        )
        written.add((tmp_path / "same").read_bytes())
    assert len(written) == 1


def test_the_optimizers_state_lies_beside_a_stage_and_another_step_is_refused(
    student, teacher, batch, tmp_path
):
    job("chinese", "layer01", student, teacher, batch, tmp_path / "1", None, projection="linear")
    with safe_open(tmp_path / "1" / stage_schedule.FILE, framework="np") as stored:
        names, facts = set(stored.keys()), json.loads(stored.metadata()["facts"])
    own = "mobilebert.encoder.layer.0.attention.self.query.weight"
    assert {f"first_moments/{own}", f"second_moments/{own}", "variables/projection.1.1.weight"} <= names
    assert f"variables/{own}" not in names  # they are the model's
    assert facts == {"format": 1, "step": S + 1, "records": (S + 1) * 4}
    with pytest.raises(UserError, match=r"expected format 1 and step 9; run that stage again"):
        stage_schedule.read(tmp_path / "1", 9)
    (tmp_path / "1" / stage_schedule.FILE).unlink()
    settings = resolved("chinese", training=Optimization(steps=S))
    objective, stage = (
        TransferObjective(student, teacher, settings, "layer02", "chinese"),
        Stage("layer02", "chinese", settings, LAYERS),
    )
    with pytest.raises(UserError, match="moments of the stage before"):
        stage.continued(objective, tmp_path / "1")
