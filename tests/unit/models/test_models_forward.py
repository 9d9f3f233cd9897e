"""The forward computation by itself: initial values, prefixes, positions, masks, dropout, short types,
tracing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.models import configs, heads, mobilebert, parameters
from mobilebert.models.checkpoints import weights

Batch = dict[str, np.ndarray]
ShapeOf = Callable[..., configs.ModelConfig]


def encode(model: models.Model, batch: Batch, **keys: object) -> models.Encoded:
    return model.encode(*(tf.constant(batch[name]) for name in ("ids", "segments", "mask")), **keys)


def test_fresh_weights_are_a_truncated_normal_and_norms_are_neutral(shape_of: ShapeOf) -> None:
    model = models.build(shape_of("base-f4"), 11)
    for name, tensor in parameters.specification(model.config).items():
        values = model.variables_by_name[name].numpy()
        assert values.dtype == np.float32
        assert values.shape == tensor.shape
        if "LayerNorm.weight" in name:
            assert (values == 1).all(), name
        elif name.endswith("bias"):
            assert (values == 0).all(), name
        else:
            assert np.abs(values).max() <= 0.04, name  # cut at two deviations
            error = 4 / np.sqrt(2 * values.size)
            # a normal cut at two deviations has 0.87963 of its deviation left
            assert values.std() == pytest.approx(0.02 * 0.87963, rel=error), name
            assert abs(values.mean()) < 4 * 0.0176 / np.sqrt(values.size), name


def test_fresh_weights_follow_from_seed_and_name_alone(shape_of: ShapeOf) -> None:
    config = shape_of("mini")
    one, same, other = (
        models.build(config, 1),
        models.build(config, 1, variable_dtype="float64"),
        models.build(config, 2),
    )
    deeper = models.build(shape_of("mini", num_hidden_layers=3), 1)
    kernels = [
        name
        for name, tensor in parameters.specification(config).items()
        if tensor.kind is parameters.Kind.KERNEL
    ]
    for name in kernels:
        np.testing.assert_array_equal(
            one.variables_by_name[name].numpy(), same.variables_by_name[name].numpy()
        )
        np.testing.assert_array_equal(
            one.variables_by_name[name].numpy(), deeper.variables_by_name[name].numpy()
        )
        assert not np.array_equal(one.variables_by_name[name].numpy(), other.variables_by_name[name].numpy())
    flat = [one.variables_by_name[name].numpy().ravel()[:64].tobytes() for name in kernels]
    assert len(set(flat)) == len(flat)


def test_the_first_layers_alone_are_the_prefix_of_the_whole_run(
    filled: Callable[..., models.Model], shape_of: ShapeOf, batch: Batch
) -> None:
    model = filled(shape_of("mini", num_hidden_layers=4))
    whole = encode(model, batch)
    for count in range(5):
        part = encode(model, batch, layers=count)
        assert (len(part.hidden), len(part.scores)) == (count + 1, count)
        for ours, wanted in zip(
            part.hidden + part.scores, whole.hidden[: count + 1] + whole.scores[:count], strict=True
        ):
            np.testing.assert_array_equal(ours, wanted)
        np.testing.assert_array_equal(part.sequence, whole.hidden[count])
    with pytest.raises(ValueError, match="layers=5 of 4"):
        encode(model, batch, layers=5)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_first_layers_alone_are_computed_and_a_layer_is_traced_once(
    shape_of: ShapeOf, batch: Batch, layers: int
) -> None:
    model = models.build(shape_of("mini", num_hidden_layers=4), 1)
    graph = (
        tf.function(lambda: encode(model, batch, layers=layers).sequence)
        .get_concrete_function()
        .graph.as_graph_def()
    )

    def products(nodes: Any) -> int:
        return sum(node.op in ("MatMul", "BatchMatMulV2") for node in nodes)

    called = [node.attr["f"].func.name for node in graph.node if "PartitionedCall" in node.op]
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    assert len(called) == layers
    assert len(set(called)) == 1
    # two bottlenecks, query, key, value, scores, mixing, attention's output, two blocks of two, the way out
    assert products(functions[called[0]]) == 2 + 3 + 2 + 1 + 4 + 1
    assert products(graph.node) == 1  # trigrams


def test_the_optimizer_of_the_graph_knows_the_shapes_of_what_a_layer_gives(
    shape_of: ShapeOf, batch: Batch, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorFlow writes a line of 700 letters to stderr for a softmax over what a call of a function gave
    (a transfer has two).
    """
    model = models.build(shape_of("mini"), 1)
    tf.function(
        lambda: tf.nn.softmax(tf.maximum(encode(model, batch, layers=1).scores[0], -5.0)), autograph=False
    )()
    assert "PredictCost" not in capfd.readouterr().err


def test_logits_exist_at_the_asked_positions_only(
    filled: Callable[..., models.Model], shape_of: ShapeOf, batch: Batch
) -> None:
    model = filled(shape_of("opt"))
    sequence = encode(model, batch).sequence
    everywhere = np.asarray(
        model.masked_lm_logits(sequence, tf.tile(tf.range(19)[tf.newaxis], [3, 1]))
    ).reshape(3, 19, -1)
    positions = np.array([[5, 1], [0, 0], [18, 3]], np.int32)
    some = np.asarray(model.masked_lm_logits(sequence, tf.constant(positions)))
    assert some.shape == (6, 97)
    np.testing.assert_allclose(
        some.reshape(3, 2, -1), everywhere[np.arange(3)[:, None], positions], rtol=1e-12
    )


def test_trigrams_are_next_itself_previous_with_zeros_at_the_ends() -> None:
    words = tf.constant([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])
    expected = [[[2, 20, 1, 10, 0, 0], [3, 30, 2, 20, 1, 10], [0, 0, 3, 30, 2, 20]]]
    np.testing.assert_array_equal(mobilebert.trigrams(words), expected)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("bert-base", {"hidden_size": 48, "intermediate_size": 64}), ("mini", {"trigram_input": False})],
)
def test_padding_changes_no_token(
    name: str, keys: dict[str, object], filled: Callable[..., models.Model], shape_of: ShapeOf, batch: Batch
) -> None:
    model = filled(shape_of(name, **keys))
    short = {key: value[2:, :4] for key, value in batch.items()}
    other = batch | {"ids": np.where(batch["mask"] == 1, batch["ids"], 50)}
    for padded in (batch, other):
        np.testing.assert_allclose(
            encode(model, padded).sequence[2:, :4], encode(model, short).sequence, rtol=1e-10, atol=1e-12
        )


def test_an_empty_row_stays_finite(shape_of: ShapeOf, batch: Batch) -> None:
    model = models.build(shape_of("mini"), 1)
    empty = {name: np.zeros_like(value) for name, value in batch.items()}
    assert np.isfinite(encode(model, empty).sequence.numpy()).all()


def test_dropout_acts_with_a_seed_only_and_follows_it(shape_of: ShapeOf, batch: Batch) -> None:
    config = shape_of("mini-teacher", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model = models.build(config, 1)
    plain = encode(model, batch).sequence.numpy()
    one, same, other = (
        encode(model, batch, seed=tf.constant(seed)).sequence.numpy() for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, plain)
    assert not np.array_equal(one, other)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    from mobilebert.models.layers import dropout

    for dtype in (tf.float32, tf.bfloat16):
        kept = tf.cast(dropout(tf.ones([400, 500], dtype), 0.1, tf.constant([3, 4])), tf.float32).numpy()
        assert (kept == 0).mean() == pytest.approx(0.1, abs=0.003)
        assert kept.mean() == pytest.approx(1.0, abs=0.005)


def test_bfloat16_keeps_scores_norms_and_logits_in_float32(shape_of: ShapeOf, batch: Batch) -> None:
    config = shape_of("mini")
    exact, short = models.build(config, 1), models.build(config, 1, compute_dtype="bfloat16")
    positions = tf.constant([[1], [2], [3]])
    encoded = encode(short, batch)
    logits = short.masked_lm_logits(encoded.sequence, positions)
    assert {variable.dtype for variable in short.variables} == {tf.float32}
    assert encoded.sequence.dtype == tf.bfloat16
    assert encoded.scores[0].dtype == logits.dtype == tf.float32
    wanted = exact.masked_lm_logits(encode(exact, batch).sequence, positions).numpy()
    assert np.abs(logits.numpy() - wanted).max() < 0.03 * np.abs(wanted).max()


def test_a_compiled_step_computes_the_same(
    filled: Callable[..., models.Model], shape_of: ShapeOf, batch: Batch
) -> None:
    model = filled(shape_of("mini", num_hidden_layers=1))
    head = heads.ClassificationHead(128, 2, 1, variable_dtype="float64")
    table = model.variables_by_name["mobilebert.embeddings.word_embeddings.weight"]

    def step(seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            sequence = encode(model, batch).sequence
            logits = model.masked_lm_logits(sequence, tf.constant([[1], [2], [3]]))
            loss = tf.reduce_sum(tf.square(logits)) + tf.reduce_sum(tf.square(head(sequence)))
        dropped = head(encode(model, batch, seed=seed).sequence, seed)
        return loss, tf.convert_to_tensor(tape.gradient(loss, table)), dropped

    seed = tf.constant([5, 6])
    *compiled, dropped = tf.function(step, jit_compile=True)(seed)
    *eager, _ = step(seed)
    for ours, wanted in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    # XLA's stateless numbers are others than the eager ones (TensorFlow's doing), so dropout is only seen to
    # compile and act.
    assert np.isfinite(dropped).all()
    assert not np.array_equal(dropped, head(encode(model, batch).sequence))


def test_names_fall_into_embeddings_layers_and_head(shape_of: ShapeOf) -> None:
    model = models.build(shape_of("base-f2"), 1)
    layers = [set(model.layer_variables(number)) for number in (1, 2)]
    parts = [set(model.embedding_names), *layers, set(model.head_names)]
    assert set().union(*parts) == set(model.variables_by_name)
    assert sum(map(len, parts)) == len(model.variables_by_name) == len(model.trainable_variables)
    assert all(name.startswith("mobilebert.encoder.layer.1.") for name in layers[1])
    with pytest.raises(ValueError, match="layer 0 of 2"):
        model.layer_variables(0)


def test_tables_and_head_are_copied_from_a_bert(
    filled: Callable[..., models.Model], shape_of: ShapeOf
) -> None:
    teacher = filled(shape_of("bert-base", hidden_size=128, num_attention_heads=4, intermediate_size=64))
    student = models.build(shape_of("mini"), 1)
    before = {name: variable.numpy() for name, variable in student.variables_by_name.items()}
    copied = weights.copy_tables(teacher, student)
    tables = [
        f"mobilebert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")
    ]
    assert sorted(copied) == sorted(tables + student.head_names)
    for name, variable in student.variables_by_name.items():
        wanted = (
            teacher.variables_by_name[name.replace("mobilebert.", "bert.")].numpy()
            if name in copied
            else before[name]
        )
        np.testing.assert_array_equal(variable.numpy(), wanted, err_msg=name)


def test_the_trigram_transformation_is_copied_and_narrow_tables_are_not(
    filled: Callable[..., models.Model], shape_of: ShapeOf
) -> None:
    teacher = filled(shape_of("mini-teacher"))
    student = models.build(shape_of("mini"), 1)
    assert "mobilebert.embeddings.embedding_transformation.weight" in weights.copy_tables(teacher, student)
    # The norm has the same name and shape in both, but another meaning (layer norm there, a mere scale here):
    # it stays as it was built.
    for kind, fresh in (("weight", 1.0), ("bias", 0.0)):
        name = f"mobilebert.embeddings.LayerNorm.{kind}"
        assert teacher.variables_by_name[name].shape == student.variables_by_name[name].shape
        assert (teacher.variables_by_name[name].numpy() != fresh).any()
        np.testing.assert_array_equal(student.variables_by_name[name].numpy(), fresh, err_msg=name)
    narrow = weights.copy_tables(teacher, models.build(shape_of("mini", embedding_size=64), 1))
    assert "mobilebert.embeddings.position_embeddings.weight" in narrow
    assert not {
        f"mobilebert.embeddings.{name}.weight" for name in ("word_embeddings", "embedding_transformation")
    } & set(narrow)
    assert not any("encoder" in name or "embeddings.LayerNorm" in name for name in narrow)
