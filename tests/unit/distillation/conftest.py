"""A student and a teacher of two layers, and batches to show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mobilebert import models
from mobilebert.models.configs import BertConfig, MobileBertConfig
from mobilebert.settings import Optimization, Training
from mobilebert.training import loop
from mobilebert.training.accelerators import Accelerator
from mobilebert.training.state import workspace

VOCABULARY, BATCH, LENGTH, PREDICTIONS = 40, 4, 12, 3


@pytest.fixture
def student() -> Any:
    config = MobileBertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        embedding_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        intra_bottleneck_size=8,
        num_feedforward_networks=2,
        key_query_shared_bottleneck=True,
        max_position_embeddings=16,
        # So that attention is not flat: a flat one has the same cross-entropy against anything.
        initializer_range=0.2,
    )
    return models.build(config, 1)


@pytest.fixture
def teacher() -> Any:
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.2,
    )
    return models.build(config, 2)


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    """A batch as the records' reader gives it, with padding and with filling among the predictions."""
    numbers = np.random.default_rng(0)
    lengths = numbers.integers(LENGTH // 2, LENGTH + 1, BATCH)
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    weights = np.ones((BATCH, PREDICTIONS), np.float32)
    weights[0, -1] = weights[2, 1:] = 0
    return {
        "input_ids": numbers.integers(1, VOCABULARY, (BATCH, LENGTH)).astype(np.int32) * mask,
        "segment_ids": np.zeros((BATCH, LENGTH), np.int32),
        "input_mask": mask,
        "masked_positions": np.sort(numbers.integers(1, LENGTH // 2, (BATCH, PREDICTIONS)), axis=1).astype(
            np.int32
        ),
        "masked_ids": numbers.integers(1, VOCABULARY, (BATCH, PREDICTIONS)).astype(np.int32),
        "masked_weights": weights,
    }


@pytest.fixture
def train(tmp_path: Path, batch: dict[str, np.ndarray]) -> Callable[..., list[float]]:
    """Train an objective on one batch over and over with the house's loop; gives the loss of every step."""

    def run(objective: Any, steps: int = 20, learning_rate: float = 5e-3) -> list[float]:
        dataset = tf.data.Dataset.from_tensors(batch).repeat()
        optimization = Optimization(
            steps=steps, learning_rate=learning_rate, decay="constant", batch_size=BATCH
        )
        job = loop.Job("test", objective, lambda step: dataset, optimization, Training(steps_per_call=1), 3)
        accelerator = Accelerator(tf.distribute.get_strategy(), "the test's CPU", 1)
        with workspace.open_state(tmp_path, "test", "0" * 64) as run_state:
            loop.train(job, accelerator, run_state, tmp_path / "metrics.jsonl", 1e9, None)
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            run_state.finish()
        return [json.loads(line)["loss"] for line in lines]

    return run
