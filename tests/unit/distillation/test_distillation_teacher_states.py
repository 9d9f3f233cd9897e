"""What is kept of a teacher from stage to stage: the numbers that the teacher gives, whatever happened to the files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.distillation import matching, teacher_states
from mobilebert.distillation.teacher_states import Part, TeacherStates
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.models.shapes import BertShape
from mobilebert.records.reader import Leaving
from mobilebert.settings import Match, Transfer

STEPS, LAYERS = 3, 4
PLACES = range(5, 5 + STEPS)
INPUTS = ("input_ids", "segment_ids", "input_mask")


def built(compute_dtype: str) -> Any:
    """A teacher of four layers."""
    sizes = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 32}
    shape = BertShape(vocab_size=40, max_position_embeddings=16, initializer_range=0.2, **sizes)
    return models.build(shape, 3, compute_dtype=compute_dtype)


@pytest.fixture
def deep() -> Any:
    return built("float32")


def batches(start: int = PLACES.start) -> tf.data.Dataset:
    """Endless batches, each a function of its place."""

    def made(place: Any) -> dict[str, Any]:
        ids = tf.random.stateless_uniform((2, 12), [1, tf.cast(place, tf.int32)], 0, 40, tf.int32)
        mask = tf.cast(tf.range(12)[None] < [[12], [7]], tf.int32)
        return {"input_ids": ids * mask, "segment_ids": tf.zeros_like(ids), "input_mask": mask}

    return tf.data.Dataset.counter(start).map(made)


def stage(
    folder: Path, teacher: Any, layer: int, limit: float = math.inf, start: int = PLACES.start, seen: list[int] | None = None
) -> list:
    """The batches of the stage of a layer; `seen` gets how many bytes were found for each of its steps."""
    part = teacher_states.part(Transfer(), LAYERS, LAYERS, layer)
    assert part is not None
    states = TeacherStates(folder, teacher, part, PLACES, limit)
    read = states._read

    def noted(place: int, size: int) -> np.ndarray:
        found = read(place, size)
        if seen is not None and place in PLACES:  # datasets read ahead
            seen.append(found.size)
        return found

    states._read = noted  # type: ignore[method-assign]
    return list(states.extended(batches(start), start).take(PLACES.stop - start).as_numpy_iterator())


def expected(teacher: Any, layer: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Output and scores of a layer for each step, from the token ids."""
    found = []
    for batch in batches().take(STEPS):
        encoded = teacher.encode(*(batch[name] for name in INPUTS), layers=layer)
        found.append((encoded.hidden[layer].numpy(), encoded.scores[layer - 1].numpy()))
    return found


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def check(made: list, wanted: list[tuple[np.ndarray, np.ndarray]], layer: int) -> None:
    """Bit for bit."""
    for batch, (hidden, scores) in zip(made, wanted[-len(made) :], strict=True):
        np.testing.assert_array_equal(batch[f"teacher_hidden_{layer:02d}"], hidden)
        np.testing.assert_array_equal(batch[f"teacher_scores_{layer:02d}"], scores)


@pytest.mark.parametrize("compute_dtype", ["float32", "bfloat16"])
def test_each_stage_starts_from_the_last_and_gives_what_the_teacher_gives(compute_dtype, tmp_path):
    deep = built(compute_dtype)
    for layer in range(1, LAYERS + 1):
        seen: list[int] = []
        check(stage(tmp_path, deep, layer, seen=seen), expected(deep, layer), layer)
        assert [size > 0 for size in seen] == [layer > 1] * STEPS
        assert files(tmp_path) == ([f"layer{layer:02d}/{place:010d}" for place in PLACES] if layer < LAYERS else [])


def test_damaged_missing_and_cut_files_change_nothing(deep, tmp_path):
    stage(tmp_path, deep, 1)
    first, second, third = (tmp_path / "layer01" / f"{place:010d}" for place in PLACES)
    told = bytearray(first.read_bytes())
    told[7] ^= 1
    first.write_bytes(told)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-9])
    seen: list[int] = []
    check(stage(tmp_path, deep, 2, seen=seen), expected(deep, 2), 2)
    assert seen == [0, 0, 0]
    assert files(tmp_path / "layer02") == [f"{place:010d}" for place in PLACES]


def test_a_stage_that_was_killed_goes_on_though_the_files_below_are_gone(deep, tmp_path):
    stage(tmp_path, deep, 1)
    stage(tmp_path, deep, 2)
    seen: list[int] = []
    check(stage(tmp_path, deep, 2, start=PLACES.start + 1, seen=seen), expected(deep, 2), 2)
    assert seen == [0, 0]


def test_what_finds_no_room_is_computed(deep, tmp_path):
    bytes_of_a_step = 2 * 12 * 16 * deep.compute_dtype.size
    stage(tmp_path, deep, 1, limit=2 * bytes_of_a_step)
    assert len(files(tmp_path)) == 2
    seen: list[int] = []
    check(stage(tmp_path, deep, 2, seen=seen), expected(deep, 2), 2)
    assert seen == [bytes_of_a_step, bytes_of_a_step, 0]


def test_a_disk_that_refuses_is_told_once_and_changes_nothing(deep, tmp_path, monkeypatch, caplog):
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TeacherStates, "_replace", refuse)
    check(stage(tmp_path, deep, 1), expected(deep, 1), 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left on device" in caplog.text


def test_batches_beyond_the_stage_are_not_computed(deep, tmp_path):
    part = Part(0, matching.Needs([1], [1]), True)
    states = TeacherStates(tmp_path, deep, part, PLACES, math.inf)
    *_, last = states.extended(batches(), PLACES.start).take(STEPS + 1).as_numpy_iterator()
    assert not last["teacher_hidden_01"].any()
    assert files(tmp_path) == [f"layer01/{place:010d}" for place in PLACES]


def test_the_objective_gives_the_same_loss_and_gradients_with_what_a_batch_brings(student, teacher, tmp_path):
    settings = Transfer(earlier_layers=1.0)
    for layer in (1, 2):
        part = teacher_states.part(settings, 2, 2, layer)
        assert part is not None
        states = TeacherStates(tmp_path, teacher, part, PLACES, math.inf)
        objective = TransferObjective(student, teacher, settings, f"layer{layer:02d}")
        for plain, extended in zip(batches().take(STEPS), states.extended(batches(), PLACES.start).take(STEPS), strict=True):
            found = []
            for batch in (plain, extended):
                with tf.GradientTape() as tape:
                    parts = objective.loss(batch, None)
                found.append((parts, tape.gradient(parts["loss"], dict(objective.variables))))
            for one, other in zip(*(tf.nest.flatten(both) for both in found), strict=True):
                np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-5, atol=1e-5)


def test_nothing_of_the_teacher_is_computed_where_the_batch_brings_it(student, teacher, batch, monkeypatch):
    encoded = teacher.encode(*(batch[name] for name in INPUTS), layers=2)
    objective = TransferObjective(student, teacher, Transfer(), "layer02")
    whole = objective.loss(batch, None)["loss"]
    monkeypatch.setattr(teacher, "encode", None)
    brought = {"teacher_hidden_02": encoded.hidden[2], "teacher_scores_02": encoded.scores[1]}
    np.testing.assert_allclose(objective.loss(batch | brought, None)["loss"], whole, rtol=1e-6)


def match(student_layer: int, teacher_layer: Any, feature: str = "hidden", loss: str = "mse") -> Match:
    return Match(student_layer=student_layer, teacher_layer=teacher_layer, feature=feature, loss=loss)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (Transfer(), [(0, 1, True), (1, 2, True), (2, 3, True), (3, 4, False)]),
        (Transfer(layer_map="uniform"), [(0, 2, True), (2, 4, True), (4, 6, True), (6, 8, False)]),
        (Transfer(losses="published"), [None] * 4),
        (Transfer(losses="published", mean_factor=0), [(0, 1, True), (1, 2, True), (2, 3, True), (3, 4, False)]),
        # The second stage looks below where the first one ended; the third compares the very output that the second kept.
        (
            Transfer(matches=[match(1, 3), match(2, 2), match(3, 2), match(4, 4)]),
            [(0, 3, False), (0, 2, True), (2, 2, True), (2, 4, False)],
        ),
        (
            Transfer(matches=[match(1, 1), match(2, 2, "attention", "cross_entropy"), match(4, 4, "value_relation", "cross_entropy")]),
            [(0, 1, True), (1, 2, True), (2, 3, False)],
        ),
    ],
)
def test_where_stages_start_and_what_they_keep(settings, parts):
    teacher_layers = 8 if settings.layer_map == "uniform" else LAYERS
    stages = matching.matched_layers(settings, LAYERS)
    found = [teacher_states.part(settings, LAYERS, teacher_layers, layer) for layer in stages]
    assert [part and (part.below, part.needs.top, part.kept) for part in found] == parts


def test_a_stage_that_compares_what_the_one_before_kept_leaves_it_there(deep, tmp_path):
    kept = TeacherStates(tmp_path, deep, Part(0, matching.Needs([2], []), True), PLACES, math.inf)
    list(kept.extended(batches(), PLACES.start).take(STEPS))
    same = TeacherStates(tmp_path, deep, Part(2, matching.Needs([2], []), True), PLACES, math.inf)
    for batch, (hidden, _) in zip(same.extended(batches(), PLACES.start).take(STEPS), expected(deep, 2), strict=True):
        np.testing.assert_array_equal(batch["teacher_hidden_02"], hidden)
    assert files(tmp_path) == [f"layer02/{place:010d}" for place in PLACES]


def test_what_a_stage_that_stopped_early_left_is_removed(deep, tmp_path):
    stage(tmp_path, deep, 1)
    part = teacher_states.part(Transfer(), LAYERS, LAYERS, 2)
    assert part is not None
    list(TeacherStates(tmp_path, deep, part, PLACES, math.inf).extended(batches(), PLACES.start).take(1))
    assert files(tmp_path) == ["layer01/0000000006", "layer01/0000000007", "layer02/0000000005"]
    check(stage(tmp_path, deep, 3), expected(deep, 3), 3)
    assert files(tmp_path) == [f"layer03/{place:010d}" for place in PLACES]


def test_nothing_is_written_once_the_interpreter_ends(deep, tmp_path, monkeypatch):
    """Its threads get the last batch and the last file again then, whatever the step, and must not keep what comes of them."""
    made: list[Any] = []

    class Noted(Leaving):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(self)

    monkeypatch.setattr(teacher_states, "Leaving", Noted)
    part = teacher_states.part(Transfer(), LAYERS, LAYERS, 1)
    assert part is not None
    extended = TeacherStates(tmp_path, deep, part, PLACES, math.inf).extended(batches(), PLACES.start)
    for leaving in reversed(made):  # as atexit does, here before the first batch is made
        leaving.close()
    list(extended.take(STEPS))
    assert files(tmp_path) == []


def test_a_file_that_finds_no_room_leaves_nothing_half_written(deep, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(teacher_states.os, "replace", refuse)
    check(stage(tmp_path, deep, 1), expected(deep, 1), 1)
    assert files(tmp_path) == []
