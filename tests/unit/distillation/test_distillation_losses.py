"""The losses against float64 NumPy, written with plain loops from the formulas of the published code."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mobilebert.distillation import losses

B, A, S, H, V = 2, 3, 5, 8, 11


@pytest.fixture
def numbers() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def mask() -> np.ndarray:
    return np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)


def layer_norm(vector: np.ndarray, epsilon: float) -> np.ndarray:
    mean = sum(vector) / len(vector)
    variance = sum((value - mean) ** 2 for value in vector) / len(vector)
    return (vector - mean) / np.sqrt(variance + epsilon)


def softmax(vector: np.ndarray) -> np.ndarray:
    powers = np.exp(vector - vector.max())
    return powers / powers.sum()


def positions(mask: np.ndarray | None) -> list[tuple[int, int]]:
    return [(b, s) for b in range(B) for s in range(S) if mask is None or mask[b, s]]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-3])
def test_feature_map_transfer_is_the_mean_squared_distance_of_normalised_outputs(
    numbers, mask, masked, epsilon
):
    teacher, student = numbers.normal(1, 2, (B, S, H)), numbers.normal(-1, 0.1, (B, S, H))
    chosen = mask if masked else None
    expected = np.mean(
        [(layer_norm(teacher[p], epsilon) - layer_norm(student[p], epsilon)) ** 2 for p in positions(chosen)]
    )
    found = losses.feature_map_transfer(teacher, student, chosen, layers=4, epsilon=epsilon)
    np.testing.assert_allclose(found, 100 / 4 * expected, rtol=1e-12)


@pytest.mark.parametrize("masked", [True, False])
def test_attention_transfer_is_a_cross_entropy_over_keys(numbers, mask, masked):
    hidden_keys = -10000.0 * (1 - mask[:, None, None, :])
    teacher, student = (numbers.normal(0, 1.5, (B, A, S, S)) + hidden_keys for _ in range(2))
    chosen = mask if masked else None
    rows = [(b, a, s) for b, s in positions(chosen) for a in range(A)]
    entropies = [
        -np.sum(softmax(teacher[row]) * np.log(np.maximum(softmax(student[row]), 1e-300))) for row in rows
    ]
    found = losses.attention_transfer(teacher, student, chosen, layers=12, factor=3.0)
    np.testing.assert_allclose(found, 3 / 12 * np.mean(entropies), rtol=1e-12)


@pytest.mark.parametrize("masked", [True, False])
def test_statistics_of_one_layer(numbers, mask, masked):
    teacher, student = numbers.normal(0.3, 2, (B, S, H)), numbers.normal(-0.2, 1, (B, S, H))
    chosen = mask if masked else None
    means = np.mean([(teacher[p].mean() - student[p].mean()) ** 2 for p in positions(chosen)])
    variances = np.mean([abs(teacher[p].var() - student[p].var()) for p in positions(chosen)])
    np.testing.assert_allclose(
        losses.mean_transfer(teacher, student, chosen, layers=2), 5000 / 2 * means, rtol=1e-11
    )
    np.testing.assert_allclose(
        losses.variance_transfer(teacher, student, chosen, layers=2), 5 / 2 * variances, rtol=1e-11
    )


def test_published_statistics_compare_with_every_teacher_output(numbers):
    outputs, student = numbers.normal(0.3, 2, (4, B, S, H)), numbers.normal(-0.2, 1, (B, S, H))
    means = np.mean(
        [(layer[p].mean() - student[p].mean()) ** 2 for layer in outputs for p in positions(None)]
    )
    variances = np.mean(
        [abs(layer[p].var() - student[p].var()) for layer in outputs for p in positions(None)]
    )
    np.testing.assert_allclose(losses.mean_transfer(outputs, student, layers=3), 5000 / 3 * means, rtol=1e-11)
    np.testing.assert_allclose(
        losses.variance_transfer(outputs, student, layers=3), 5 / 3 * variances, rtol=1e-11
    )


def test_published_mean_pulls_to_the_average_of_all_layers(numbers):
    # The consequence that the reference page measured: the gradient vanishes at the average of the teacher's
    # means.
    outputs = numbers.normal(0.3, 2, (4, B, S, H))
    student = tf.Variable(np.broadcast_to(outputs.mean(axis=(0, 3))[..., None], (B, S, H)))
    with tf.GradientTape() as tape:
        loss = losses.mean_transfer(outputs, student)
    np.testing.assert_allclose(tape.gradient(loss, student), 0, atol=1e-12)


def test_padding_never_matters_with_a_mask(numbers, mask):
    teacher, student = numbers.normal(size=(B, S, H)), numbers.normal(size=(B, S, H))
    other = np.where(mask[..., None] == 1, student, 1e3)
    for loss in (losses.feature_map_transfer, losses.mean_transfer, losses.variance_transfer):
        np.testing.assert_allclose(loss(teacher, other, mask), loss(teacher, student, mask), rtol=1e-12)
        assert abs(float(loss(teacher, other)) - float(loss(teacher, student))) > 1e-3


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "loss", [losses.feature_map_transfer, losses.mean_transfer, losses.variance_transfer]
)
def test_padding_may_hold_anything_with_a_mask(numbers, mask, loss, poison):
    teacher, student = numbers.normal(size=(B, S, H)), numbers.normal(size=(B, S, H))
    given = [np.where(mask[..., None] == 1, tensor, poison) for tensor in (teacher, student)]
    same_with_gradient(loss, (teacher, student), given, mask, mask[..., None] == 1)
    np.testing.assert_array_equal(losses._mean(np.where(mask == 1, 2.0, poison), mask), 2.0)


def test_published_statistics_leave_out_poisoned_padding(numbers, mask):
    outputs, student = numbers.normal(size=(4, B, S, H)), numbers.normal(size=(B, S, H))
    given = [np.where(mask[..., None] == 1, tensor, np.nan) for tensor in (outputs, student)]
    for loss in (losses.mean_transfer, losses.variance_transfer):
        same_with_gradient(loss, (outputs, student), given, mask, mask[..., None] == 1)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_attention_of_padding_may_hold_anything_with_a_mask(numbers, mask, poison):
    real = (mask[:, None, :, None] * mask[:, None, None, :]) == 1
    teacher, student = (
        numbers.normal(0, 1.5, (B, A, S, S)) - 10000.0 * (1 - mask[:, None, None, :]) for _ in range(2)
    )
    given = [np.where(real, scores, poison) for scores in (teacher, student)]
    same_with_gradient(losses.attention_transfer, (teacher, student), given, mask, real)


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32, np.float64])
def test_a_mask_may_have_any_type(numbers, mask, kind):
    teacher, student = numbers.normal(size=(B, S, H)), numbers.normal(size=(B, S, H))
    for loss in (
        losses.feature_map_transfer,
        losses.mean_transfer,
        losses.variance_transfer,
        losses.hidden_transfer,
    ):
        assert float(loss(teacher, student, mask.astype(kind))) == float(loss(teacher, student, mask))
    scores = numbers.normal(size=(2, B, A, S, S)) - 10000.0 * (1 - mask[:, None, None, :])
    for loss in (losses.attention_transfer, losses.value_relation_transfer):
        assert float(loss(*scores, mask.astype(kind))) == float(loss(*scores, mask))


def test_the_scores_say_which_keys_are_seen_and_the_mask_which_queries_count(numbers, mask):
    teacher, student = (numbers.normal(0, 1.5, (B, A, S, S)) for _ in range(2))
    rows = [(b, a, s) for b, s in positions(mask) for a in range(A)]
    expected = np.mean([-np.sum(softmax(teacher[row]) * np.log(softmax(student[row]))) for row in rows])
    np.testing.assert_allclose(losses.attention_transfer(teacher, student, mask), expected, rtol=1e-12)


def test_fillings_may_hold_anything(numbers):
    weights = np.array([1, 0, 1, 0], np.float64)
    logits, teacher, labels = numbers.normal(size=(4, V)), numbers.normal(size=(4, V)), np.array([3, 0, 5, 0])
    expected = (
        losses.masked_lm_loss(logits, labels, weights),
        losses.teacher_masked_lm_loss(logits, teacher, weights),
    )
    logits[weights == 0] = teacher[weights == 0] = np.nan
    hard = losses.masked_lm_loss(logits, np.where(weights, labels, -100), weights)
    soft = losses.teacher_masked_lm_loss(logits, teacher, weights)
    assert (float(hard), float(soft)) == tuple(map(float, expected))
    assert float(hard) > 0
    assert float(soft) > 0


def test_hidden_keys_may_be_infinitely_low_without_a_mask(numbers, mask):
    hidden = np.broadcast_to(mask[:, None, None, :] == 0, (B, A, S, S))
    teacher, student = (np.where(hidden, -10000.0, numbers.normal(0, 1.5, (B, A, S, S))) for _ in range(2))
    given = [np.where(hidden, -np.inf, scores) for scores in (teacher, student)]
    same_with_gradient(losses.attention_transfer, (teacher, student), given, None, ~hidden)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [True, False])
def test_a_query_without_any_key_counts_as_evenly_spread(numbers, mask, masked, kind):
    teacher, student = (numbers.normal(0, 1.5, (B, A, S, S)).astype(kind) for _ in range(2))
    given = [scores.copy() for scores in (teacher, student)]
    for scores, value in ((teacher, 0), (student, 0), (given[0], -np.inf), (given[1], -np.inf)):
        scores[0, 1, 2] = value
    same_with_gradient(losses.attention_transfer, (teacher, student), given, mask if masked else None, True)


def same_with_gradient(loss, clean, given, mask, real):
    """The loss and the student's gradient are those of the clean tensors; where nothing is `real` the
    gradient is 0.
    """
    found = []
    for teacher, student in (clean, given):
        variable = tf.Variable(student)
        with tf.GradientTape() as tape:
            value = loss(teacher, variable, mask)
        found.append((float(value), tape.gradient(value, variable).numpy()))
    (expected, slope), (value, gradient) = found
    assert value == expected > 0
    np.testing.assert_array_equal(gradient, slope)
    assert not gradient[~np.broadcast_to(real, gradient.shape)].any()
    assert gradient.any()


def test_the_teacher_gets_no_gradient_and_equal_features_lose_nothing(numbers):
    teacher, student = (
        tf.Variable(numbers.normal(size=(B, S, H))),
        tf.Variable(numbers.normal(size=(B, S, H))),
    )
    for loss in (losses.feature_map_transfer, losses.mean_transfer, losses.variance_transfer):
        with tf.GradientTape() as tape:
            value = loss(teacher, student)
        towards_teacher, towards_student = tape.gradient(value, [teacher, student])
        assert towards_teacher is None
        assert float(tf.norm(towards_student)) > 0
        assert float(loss(teacher, teacher)) == 0.0


def test_masked_lm_losses_compare_with_the_truth_and_with_the_teacher(numbers):
    logits, teacher = numbers.normal(0, 2, (6, V)), numbers.normal(0, 2, (6, V))
    labels, weights = numbers.integers(0, V, 6), np.array([1, 1, 0, 1, 0, 1.0])
    logs = [np.log(softmax(row)) for row in logits]
    hard = -sum(weights[row] * logs[row][labels[row]] for row in range(6)) / (4 + 1e-5)
    soft = -sum(weights[row] * np.sum(softmax(teacher[row]) * logs[row]) for row in range(6)) / (4 + 1e-5)
    np.testing.assert_allclose(losses.masked_lm_loss(logits, labels, weights), hard, rtol=1e-12)
    np.testing.assert_allclose(losses.teacher_masked_lm_loss(logits, teacher, weights), soft, rtol=1e-12)


def test_no_predictions_and_no_tokens_give_zero(numbers):
    logits = numbers.normal(size=(3, V))
    assert float(losses.masked_lm_loss(logits, [0, 0, 0], [0, 0, 0])) == 0.0
    teacher, student = numbers.normal(size=(B, S, H)), numbers.normal(size=(B, S, H))
    assert float(losses.mean_transfer(teacher, student, np.zeros((B, S)))) == 0.0


def test_half_precision_is_raised_before_it_is_summed(numbers):
    teacher, student = (tf.cast(numbers.normal(size=(B, S, H)), tf.bfloat16) for _ in range(2))
    found = losses.feature_map_transfer(teacher, student)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(
        found,
        losses.feature_map_transfer(tf.cast(teacher, tf.float32), tf.cast(student, tf.float32)),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("name", "divisor", "padding", "all_outputs", "epsilon"),
    [
        ("corrected", 12, True, False, 1e-12),
        ("published", 12, False, True, 1e-12),
        ("google_tf2", 3, False, False, 1e-3),
    ],
)
def test_forms(name, divisor, padding, all_outputs, epsilon):
    form = losses.variant(name)
    assert form.divisor(layer=3, depth=12) == divisor
    assert (form.ignores_padding, form.all_outputs, form.epsilon) == (padding, all_outputs, epsilon)


@pytest.mark.parametrize("masked", [True, False])
def test_hidden_transfer_is_the_mean_squared_distance(numbers, mask, masked):
    teacher, student = numbers.normal(1, 2, (B, S, H)), numbers.normal(-1, 1, (B, S, H))
    chosen = mask if masked else None
    expected = np.mean([(teacher[p] - student[p]) ** 2 for p in positions(chosen)])
    np.testing.assert_allclose(
        losses.hidden_transfer(teacher, student, chosen, layers=2, factor=3.0), 3 / 2 * expected, rtol=1e-12
    )


@pytest.mark.parametrize("masked", [True, False])
def test_value_relation_is_a_cross_entropy_of_the_values_products(numbers, mask, masked):
    teacher, student = numbers.normal(0, 1, (B, A, S, 6)), numbers.normal(0, 1, (B, A, S, 4))
    chosen = mask if masked else None
    entropies = []
    for b, s in positions(chosen):
        keys = [k for k in range(S) if not masked or mask[b, k]]
        for a in range(A):
            target, found = (
                np.array([v[b, a, s] @ v[b, a, k] for k in keys]) / np.sqrt(v.shape[-1])
                for v in (teacher, student)
            )
            entropies.append(-np.sum(softmax(target) * np.log(softmax(found))))
    found = losses.value_relation_transfer(teacher, student, chosen, layers=2, factor=3.0)
    np.testing.assert_allclose(found, 3 / 2 * np.mean(entropies), rtol=1e-11)


def test_next_sentence_loss_is_the_mean_cross_entropy_of_the_pairs(numbers):
    logits, labels = numbers.normal(0, 2, (5, 2)), np.array([0, 1, 1, 0, 1])
    expected = np.mean([-np.log(softmax(row)[label]) for row, label in zip(logits, labels, strict=True)])
    np.testing.assert_allclose(losses.next_sentence_loss(logits, labels), expected, rtol=1e-12)


def reference_terms(form, teacher, student, scores, mask, layer, depth):
    """The four terms of one layer in one form, with plain loops; teacher holds all L + 1 outputs."""
    divisor = layer if form == "google_tf2" else depth
    epsilon = 1e-3 if form == "google_tf2" else 1e-12
    places = positions(mask if form == "corrected" else None)
    keys = {b: [k for k in range(S) if form != "corrected" or mask[b, k]] for b in range(B)}
    compared = teacher if form == "published" else teacher[layer : layer + 1]
    feature = np.mean(
        [(layer_norm(teacher[layer][p], epsilon) - layer_norm(student[p], epsilon)) ** 2 for p in places]
    )
    entropies = [
        -np.sum(
            softmax(scores[0][b, a, s, keys[b]])
            * np.log(np.maximum(softmax(scores[1][b, a, s, keys[b]]), 1e-300))
        )
        for b, s in places
        for a in range(A)
    ]
    mean = np.mean([(output[p].mean() - student[p].mean()) ** 2 for output in compared for p in places])
    variance = np.mean([abs(output[p].var() - student[p].var()) for output in compared for p in places])
    return [
        100 * feature / divisor,
        np.mean(entropies) / divisor,
        5000 * mean / divisor,
        5 * variance / divisor,
    ]


@pytest.mark.parametrize("form", ["corrected", "published", "google_tf2"])
def test_every_form_equals_its_own_reference(numbers, mask, form):
    layer, depth = 2, 3
    teacher, student = numbers.normal(0.3, 2, (depth + 1, B, S, H)), numbers.normal(-0.2, 1, (B, S, H))
    scores = [numbers.normal(0, 1.5, (B, A, S, S)) - 10000.0 * (1 - mask[:, None, None, :]) for _ in range(2)]
    chosen = losses.variant(form)
    counted = mask if chosen.ignores_padding else None
    divisor = chosen.divisor(layer, depth)
    statistics = teacher if chosen.all_outputs else teacher[layer]
    found = [
        losses.feature_map_transfer(teacher[layer], student, counted, layers=divisor, epsilon=chosen.epsilon),
        losses.attention_transfer(*scores, counted, layers=divisor),
        losses.mean_transfer(statistics, student, counted, layers=divisor),
        losses.variance_transfer(statistics, student, counted, layers=divisor),
    ]
    np.testing.assert_allclose(
        found, reference_terms(form, teacher, student, scores, mask, layer, depth), rtol=1e-11
    )
    assert all(value.shape == () for value in found)
