"""The inputs that exports are compared on, and the figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mobilebert import tokenization
from mobilebert.exporting.probes import probes
from mobilebert.models.numerics import difference, rounded_up


def test_probes_cover_padding_pairs_masks_and_full_length(model: Path) -> None:
    tokenizer = tokenization.load(model)
    batches = probes(tokenizer, 32, seed=0)
    assert all(
        array.shape == (1, 32) and array.dtype == np.int32 for batch in batches for array in batch.values()
    )
    tokens = [int(batch["attention_mask"].sum()) for batch in batches]
    assert 32 in tokens, "one without padding"
    assert 2 in tokens, "one of [CLS] [SEP] alone"
    assert any(2 < count < 32 for count in tokens)
    assert any(batch["token_type_ids"].any() for batch in batches)
    assert any((batch["input_ids"] == tokenizer.mask).any() for batch in batches)
    for batch in batches:
        outside = batch["attention_mask"] == 0
        assert (batch["input_ids"][outside] == tokenizer.pad).all()
        assert not batch["token_type_ids"][outside].any()
        assert batch["input_ids"][0, 0] == tokenizer.cls
        assert (batch["input_ids"] < tokenizer.size).all()


def test_probes_follow_their_seed(model: Path) -> None:
    tokenizer = tokenization.load(model)
    first, again, other = (
        np.stack([batch["input_ids"] for batch in probes(tokenizer, 32, seed)]) for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first[:5] != other[:5]).any(axis=(1, 2)).all()


def test_difference_is_relative_to_the_largest_value() -> None:
    assert difference(np.array([1.0, -8.0]), np.array([1.0, -10.0])) == 0.2
    assert difference(np.array([1.0, math.nan]), np.array([1.0, 2.0])) == math.inf
    assert difference(np.array([1.0, 2.0]), np.array([1.0, math.inf])) == math.inf


def test_published_figure_is_never_smaller_than_the_found_one() -> None:
    assert [rounded_up(value) for value in (0.0, 3.2e-7, 3e-7, 9.5e-8, 1.7e-15, 2.1e-15)] == [
        0.0,
        4e-7,
        3e-7,
        1e-7,
        1e-12,
        1e-12,
    ]
