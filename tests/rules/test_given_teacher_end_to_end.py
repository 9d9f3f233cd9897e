"""A given teacher through the real commands: import_teacher, retrain_head, export_teacher, transfer_layer;
and a given student.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from mobilebert import models, tokenization
from mobilebert.distillation import compatibility
from mobilebert.models import configs
from mobilebert.storage import artifacts
from scripts import (
    export_teacher,
    finetune_task,
    import_student,
    import_teacher,
    pretrain_student,
    retrain_head,
    transfer_layer,
)
from tests import tf1_checkpoints as tf1
from tests.rules import tiny_tasks

SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "type_vocab_size": 2,
}


def release(chain: Any, folder: Path, kind: str) -> Path:
    """A TF1 release whose vocabulary is the records': a BERT, or an ELECTRA with narrow tables, both
    without an MLM head.
    """
    size = tokenization.load(chain.tokenizer).size
    config: dict[str, Any] = {
        **SIZES,
        "vocab_size": size,
        "max_position_embeddings": 512,
        "hidden_act": "gelu",
    }
    variables = {name: shape for name, shape in tf1.body(config).items() if not name.startswith("cls/")}
    if kind == "bert":
        variables |= tf1.pooler_and_nsp(128)
    if kind == "electra":
        config["embedding_size"] = 32
        variables = {name.replace("bert/", "electra/"): shape for name, shape in variables.items()}
        narrow = (
            "word_embeddings",
            "position_embeddings",
            "token_type_embeddings",
            "LayerNorm/gamma",
            "LayerNorm/beta",
        )
        for name in [f"electra/embeddings/{part}" for part in narrow]:
            variables[name] = (*variables[name][:-1], 32)
        variables |= tf1.dense("electra/embeddings_project", 32, 128) | tf1.dense(
            "discriminator_predictions/dense", 128, 128
        )
    tf1.save(folder / "bert_model.ckpt", tf1.values_of(tf1.with_slots(variables)), config)
    (folder / "vocab.txt").write_bytes((chain.tokenizer / "vocab.txt").read_bytes())
    return folder


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_a_tf1_teacher_without_a_head_becomes_the_teacher_of_a_student(
    chain: Any, command: Any, caplog: Any, tmp_path: Path, kind: str
) -> None:
    source, needs = (
        release(chain, tmp_path / "release", kind),
        json.dumps([compatibility.needs(configs.named("mini", 1))]),
    )
    records, state = (
        [*chain.data],
        ["--state", tmp_path / "state"],
    )
    told = json.dumps({"teacher.kind": "tf1", "teacher.retrain_head": True})
    command(import_teacher, "--settings", told, "--source", source, "--out", tmp_path / "imported")
    settings = chain.settings("teacher.head_training", "masking", "training", "seed")
    given = ["--source", tmp_path / "imported", "--needs", needs, *records]
    command(retrain_head, "--settings", settings, *given, *state, "--out", tmp_path / "retrained")
    settings = chain.settings(
        "teacher.min_head_lift", "masking", "training", "seed", teacher={"min_head_lift": -1}
    )
    given = [
        "--source",
        tmp_path / "retrained",
        "--original",
        source / "bert_model.ckpt",
        "--needs",
        needs,
        *records,
    ]
    caplog.set_level("INFO")
    command(export_teacher, "--settings", settings, *given, "--out", tmp_path / "teacher")
    assert "parity: hidden within" in caplog.text
    assert json.loads((tmp_path / "teacher" / "evaluation.json").read_text())["parity"]["hidden"] < 1e-9
    if (
        kind == "bert"
    ):  # its own pooler is what a classifier starts from: a rate of next to nothing leaves it where it was
        task = [
            "--task",
            "chnsenticorp",
            "--data",
            tiny_tasks.sentiment(tmp_path / "task"),
            "--repeat",
            0,
            "--model",
            tmp_path / "teacher",
        ]
        settings = tiny_tasks.settings("chnsenticorp", learning_rate=1e-12, epochs=0.5)
        command(finetune_task, "--settings", settings, *task, *state, "--out", tmp_path / "classifier")
        theirs = tf.train.load_checkpoint(str(source / "bert_model.ckpt")).get_tensor(
            "bert/pooler/dense/kernel"
        )
        found = load_file(tmp_path / "classifier" / "model.safetensors")["bert.pooler.dense.weight"]
        np.testing.assert_allclose(found, theirs.T, rtol=0, atol=1e-9)
    settings = chain.settings("recipe", "transfer", "student", "masking", "training", "seed")
    given = [
        "--student",
        "mini",
        "--stage",
        "layer01",
        "--teacher",
        tmp_path / "teacher",
        "--previous",
        *records,
    ]
    command(transfer_layer, "--settings", settings, *given, *state, "--out", tmp_path / "layer01")
    assert artifacts.read(tmp_path / "layer01", "model").inputs["teacher"] == artifacts.digest(
        tmp_path / "teacher"
    )


def test_a_student_from_a_tf1_checkpoint_with_its_teacher_inside_goes_on(
    chain: Any, command: Any, caplog: Any, tmp_path: Path
) -> None:
    model_config = models.weights.load(chain.student).config
    config = {**configs.to_original(model_config)}
    values = tf1.values_of(tf1.with_slots(tf1.body(config)))
    inside = {
        f"teacher/{name}": np.ones(one, np.float32) for name, one in tf1.body({**SIZES, **config}).items()
    }
    tf1.save(
        tmp_path / "theirs" / "model.ckpt-2000", values | inside | {"global_step": np.int64(2000)}, config
    )
    (tmp_path / "theirs" / "vocab.txt").write_bytes((chain.tokenizer / "vocab.txt").read_bytes())
    caplog.set_level("INFO")
    command(import_student, "--checkpoint", tmp_path / "theirs", "--out", tmp_path / "student")
    assert "MB before" in caplog.text
    table = models.weights.load(tmp_path / "student").variables_by_name[
        "mobilebert.embeddings.word_embeddings.weight"
    ]
    np.testing.assert_array_equal(table.numpy(), values["bert/embeddings/word_embeddings"])
    student = {"from": str(tmp_path / "theirs")}
    told = chain.settings("recipe", "pretraining", "student", "masking", "training", "seed", student=student)
    given = [
        *chain.data,
        "--teacher",
        chain.teacher,
        "--previous",
        tmp_path / "student",
    ]
    names = [
        "--student",
        "mini",
        "--arm",
        "distilled",
        "--extra-steps",
        0,
        "--state",
        tmp_path / "state",
        "--out",
        tmp_path / "out",
    ]
    command(pretrain_student, "--settings", told, *names, *given)
    assert artifacts.read(tmp_path / "out", "model").inputs["previous"] == artifacts.digest(
        tmp_path / "student"
    )
