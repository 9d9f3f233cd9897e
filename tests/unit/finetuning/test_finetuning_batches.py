"""Order and seek of training batches, and the filled last batch of predictions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mobilebert.finetuning import batches
from mobilebert.finetuning.features import Features


@pytest.fixture
def ten() -> Features:
    """Ten examples; the label is the example's number, the lengths differ."""
    numbers = np.arange(10, dtype=np.int32)
    ids = np.where(np.arange(6) < 3 + numbers[:, None] % 4, 5 + numbers[:, None], 0).astype(np.int32)
    return Features(ids, np.full(10, 2, np.int32), 3 + numbers % 4, {"label": numbers})


def labels(dataset: Any, count: int) -> list[list[int]]:
    return [batch["label"].numpy().tolist() for batch in itertools.islice(dataset, count)]


def test_every_epoch_shows_every_example_once_in_an_order_of_its_own(ten: Features) -> None:
    flat = [label for row in labels(batches.training(ten, 4, seed=3)(0), 15) for label in row]
    epochs = [flat[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


@pytest.mark.parametrize("batch_size", [3, 4, 10, 25])
def test_starting_at_a_step_gives_the_batches_of_an_unbroken_run(ten: Features, batch_size: int) -> None:
    made = batches.training(ten, batch_size, seed=3)
    unbroken = labels(made(0), 9)
    assert all(len(row) == batch_size for row in unbroken)
    for step in (1, 2, 5, 7):
        assert labels(made(step), 9 - step) == unbroken[step:]


def test_the_examples_of_a_step_are_those_that_its_batch_holds(ten: Features) -> None:
    made = batches.training(ten, 4, seed=3)
    for step in (0, 2, 7):
        assert [batches.examples_of(10, 4, 3, step)] == labels(made(step), 1)


def test_the_seed_decides_the_order(ten: Features) -> None:
    assert labels(batches.training(ten, 4, seed=3)(0), 4) == labels(batches.training(ten, 4, seed=3)(0), 4)
    assert labels(batches.training(ten, 4, seed=3)(0), 4) != labels(batches.training(ten, 4, seed=4)(0), 4)


def test_segments_and_masks_follow_from_the_lengths(ten: Features) -> None:
    batch = next(iter(batches.in_order(ten, 4)))
    assert batch["input_ids"].numpy()[1].tolist() == [6, 6, 6, 6, 0, 0]
    assert batch["input_mask"].numpy()[1].tolist() == [1, 1, 1, 1, 0, 0]
    assert batch["segment_ids"].numpy()[1].tolist() == [0, 0, 1, 1, 0, 0]
    assert {name: value.shape[0] for name, value in batch.items()} == dict.fromkeys(batch, 4)


def test_predictions_see_all_examples_in_order_and_static_shapes(ten: Features) -> None:
    dataset = batches.in_order(ten, 4)
    assert dataset.element_spec["input_ids"].shape == (4, 6)
    assert batches.training(ten, 4, 0)(0).element_spec["input_ids"].shape == (4, 6)
    flat = [label for row in labels(dataset, 9) for label in row]
    assert flat == [*range(10), 0, 0]


def test_steps_are_counted_as_published() -> None:
    assert batches.steps_of(2833, 32, 2.0) == int(2833 / 32 * 2)
    assert batches.steps_of(3, 32, 1.0) == 1
