"""A tokenizer small enough to count on the fingers, a tiny model, and a training with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilebert.tokenization.tokenizer import Encoding


class Pieces:
    """Longest match over given pieces, single characters otherwise; white space makes no token. Ids: a
    character's code point modulo 40, plus 8; pieces of several characters from 60 on.
    """

    pad, unk, cls, sep, mask = range(5)
    size = 80

    def __init__(self, *vocabulary: str) -> None:
        self.pieces = sorted(vocabulary, key=len, reverse=True)

    def encode(self, text: str) -> Encoding:
        tokens, at = [], 0
        while at < len(text):
            token = next((token for token in self.pieces if text.startswith(token, at)), text[at])
            if token.strip():
                number = 60 + self.pieces.index(token) if token in self.pieces else 8 + ord(token) % 40
                tokens.append((number, at, at + len(token)))
            at += len(token)
        table = np.array(tokens, np.int32).reshape(-1, 3)
        return Encoding(table[:, 0], table[:, 1], table[:, 2])

    def encode_many(self, texts: Sequence[str]) -> list[Encoding]:
        return [self.encode(text) for text in texts]


@pytest.fixture
def pieces() -> type[Pieces]:
    return Pieces


@pytest.fixture
def tiny_model() -> Callable[..., Any]:
    """A MobileBERT of two layers for the ids of `Pieces`, or a BERT."""

    def build(kind: str = "mobilebert", **changes: Any) -> Any:
        from mobilebert import models
        from mobilebert.models.configs import BertConfig, MobileBertConfig

        common = {
            "vocab_size": 80,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
        }
        common |= {"intermediate_size": 64}
        if kind == "bert":
            return models.build(BertConfig(**(common | changes)), 3)
        mobile = {
            "embedding_size": 32,
            "intra_bottleneck_size": 16,
            "num_feedforward_networks": 2,
            "key_query_shared_bottleneck": True,
        }
        return models.build(MobileBertConfig(**(common | mobile | changes)), 3)

    return build


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Train an objective with the one loop; returns the metrics file."""

    def run(
        objective: Any, batches: Any, steps: int, rate: float, batch_size: int = 16, seed: int = 1
    ) -> Path:
        from mobilebert.settings import Optimization, Training
        from mobilebert.training import accelerators, loop
        from mobilebert.training.state import workspace

        metrics = tmp_path / "metrics.jsonl"
        optimization = Optimization(
            steps=steps, batch_size=batch_size, learning_rate=rate, warmup_steps=steps // 10
        )
        job = loop.Job(
            "test", objective, batches, optimization, Training(steps_per_call=max(1, steps // 4)), seed
        )
        with workspace.open_state(tmp_path / "state", "test", "f" * 64) as run_state:
            loop.train(job, accelerators.find("cpu"), run_state, metrics, 600, None)
        return metrics

    return run
