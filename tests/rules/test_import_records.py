"""Somebody else's records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mobilebert import tokenization
from mobilebert.records.bert_format import classic
from mobilebert.records.dataset import RecordSet
from mobilebert.settings import Masking
from mobilebert.storage import artifacts
from scripts import import_records


def test_classic_records_become_the_artifact(
    chain: Any, command: Callable[..., None], tmp_path: Path
) -> None:
    ids = (
        np.random.default_rng(1)
        .integers(5, tokenization.load(chain.tokenizer).size, (200, 32))
        .astype(np.int32)
    )
    ids[:, 0], ids[:, 31] = 2, 3
    batch = {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    batch |= {
        "masked_positions": np.full((200, 1), 4),
        "masked_ids": ids[:, 4:5].copy(),
        "masked_weights": np.ones((200, 1), np.float32),
    }
    ids[:, 4] = 4
    classic.write(tmp_path / "given.tfrecord", [batch])
    settings = chain.settings("records", "seed", records={"heldout_share": 0.2, "shards": 2})
    source = ("--source", tmp_path / "given.tfrecord", "--tokenizer", chain.tokenizer)
    command(import_records, "--settings", settings, *source, "--out", tmp_path / "out")
    assert set(artifacts.read(tmp_path / "out", "records").inputs) == {"tokenizer"}
    records = RecordSet(tmp_path / "out")
    assert records.train_count + records.heldout_count == 200
    assert (records.train_batches(Masking(), 8, 1, 0)["masked_positions"] == 4).all()
