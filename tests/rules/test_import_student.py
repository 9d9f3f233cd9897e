"""`import_student`: an original checkpoint becomes a transformers directory, its teacher and optimizer
stay behind.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from scripts import import_student
from tests import tf1_checkpoints as made

CONFIG = {
    "hidden_act": "relu",
    "hidden_size": 24,
    "embedding_size": 24,
    "intermediate_size": 20,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "attention_probs_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.0,
    "initializer_range": 0.02,
    "trigram_input": True,
    "use_bottleneck": True,
    "intra_bottleneck_size": 12,
    "use_bottleneck_attention": True,
    "num_feedforward_networks": 2,
    "normalization_type": "no_norm",
    "classifier_activation": False,
}


def arguments(folder: Path, checkpoint: Path, vocabulary: Path) -> list[str]:
    files = [
        "--checkpoint",
        checkpoint,
        "--config",
        checkpoint.parent / "bert_config.json",
        "--vocab",
        vocabulary,
    ]
    return [*map(str, files), "--out", str(folder), "--log", f"{folder}.log"]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*tokenization.SPECIAL, *"中文模型小", "##ab"]) + "\n", encoding="utf-8")
    return path


def test_a_published_checkpoint_becomes_a_model_that_transformers_opens(
    vocabulary: Path, tmp_path: Path
) -> None:
    config = CONFIG | {"vocab_size": len(vocabulary.read_text("utf-8").split("\n")) - 1}
    values = made.values_of(made.with_slots(made.body(config)))
    teacher = {f"teacher/{name}": value for name, value in made.values_of(made.body(config), 1).items()}
    checkpoint = made.save(
        tmp_path / "there" / "model.ckpt", values | teacher | {"global_step": np.array(7, np.int64)}, config
    )
    out = tmp_path / "student"
    command = [sys.executable, "-m", "scripts.import_student", *arguments(out, checkpoint, vocabulary)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = (
        sum(path.stat().st_size for path in folder.glob(kind))
        for folder, kind in ((checkpoint.parent, "*.ckpt.*"), (out, "*.safetensors"))
    )
    assert before > 3 * after
    assert f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after" in done.stderr
    assert f"teacher: {len(teacher)} variables" in done.stderr
    manifest = artifacts.read(out, "model")
    assert set(manifest.settings["files"]) == {
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
        "bert_config.json",
        "vocab.txt",
    }
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    theirs, notes = transformers.AutoModelForMaskedLM.from_pretrained(
        out, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(notes.values())
    encoded = transformers.AutoTokenizer.from_pretrained(out)(
        "中文小", padding="max_length", max_length=8, return_tensors="pt"
    )
    with torch.no_grad():
        found = theirs.double().eval()(**encoded).logits.numpy()
    wanted = made.logits(
        values, config, *(encoded[name].numpy() for name in ("input_ids", "token_type_ids", "attention_mask"))
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


def test_a_vocabulary_of_another_size_is_refused(
    vocabulary: Path, command: Callable[..., None], tmp_path: Path
) -> None:
    config = CONFIG | {"vocab_size": 12}
    checkpoint = made.save(tmp_path / "there" / "model.ckpt", made.values_of(made.body(config)), config)
    with pytest.raises(UserError, match=r"vocab.txt: .*11 entries.* vocab_size 12; they must be equal"):
        command(import_student, *arguments(tmp_path / "student", checkpoint, vocabulary))
    assert not artifacts.exists(tmp_path / "student")
