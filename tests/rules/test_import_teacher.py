"""The rule import_teacher: a transformers directory becomes a model artifact that transformers still
opens.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import weights
from mobilebert.storage import artifacts
from scripts.import_teacher import main, parser

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "中", "文", "的", "模", "型"]
CONFIG = transformers.BertConfig(
    vocab_size=len(TOKENS),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=20,
    max_position_embeddings=12,
)


def teacher(
    folder: Path, kind: type = transformers.BertForPreTraining, config: transformers.BertConfig = CONFIG
) -> Path:
    torch.manual_seed(2)
    kind(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return folder


def command(root: Path, source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "scripts.import_teacher",
        "--source",
        str(source),
        "--out",
        str(out),
        "--log",
        f"{out}.log",
    ]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)


def test_a_bert_is_checked_and_written_again(root: Path, tmp_path: Path) -> None:
    source, out = teacher(tmp_path / "source"), tmp_path / "imported"
    done = command(root, source, out)
    assert done.returncode == 0, done.stderr
    manifest = artifacts.read(out, "model")
    assert manifest.counts == {"layers": 2, "parameters": weights.load(source).parameters}
    assert manifest.settings["files"]["model.safetensors"] == artifacts.sha256(source / "model.safetensors")
    assert str(tmp_path) not in (out / "manifest.json").read_text()
    assert (out / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    assert (
        tokenization.load(out).encode("中文模型").ids.tolist()
        == transformers.AutoTokenizer.from_pretrained(out).encode("中文模型")[1:-1]
    )
    theirs, notes = transformers.BertForMaskedLM.from_pretrained(out, output_loading_info=True)
    assert not any(notes.values())
    original = transformers.BertForPreTraining.from_pretrained(source).state_dict()
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(value, original[name], err_msg=name)
    assert json.loads((out / "config.json").read_text())["hidden_act"] == "gelu"
    assert "cls.seq_relationship" in Path(f"{out}.log").read_text()


@pytest.mark.parametrize("wrong", ["no head", "vocabulary", "cut"])
def test_a_teacher_that_does_not_do_is_refused_in_one_line(tmp_path: Path, wrong: str) -> None:
    out = tmp_path / "imported"
    if wrong == "no head":
        source, message = (
            teacher(tmp_path / "source", transformers.BertModel),
            r"no MLM head .*teacher\.retrain_head: true",
        )
    elif wrong == "vocabulary":
        source, message = (
            teacher(tmp_path / "source"),
            "its tokenizer has 9 entries, its configuration says vocab_size 10",
        )
        (source / "vocab.txt").write_text("\n".join(TOKENS[:-1]) + "\n", encoding="utf-8")
    else:
        source, message = teacher(tmp_path / "source"), "not a whole safetensors file"
        data = (source / "model.safetensors").read_bytes()
        (source / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=message) as caught:
        main(parser().parse_args(["--source", str(source), "--out", str(out)]))
    assert len(str(caught.value).splitlines()) == 1
    assert not artifacts.exists(out)
