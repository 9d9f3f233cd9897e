"""The training commands with a shape of the user's own (`shapes` among the settings)."""

from __future__ import annotations

import json

import pytest

from mobilebert import models, tokenization
from mobilebert.errors import UserError
from mobilebert.storage import artifacts
from scripts import pretrain_student, pretrain_teacher, transfer_layer


def told(chain, name, config, *sections, **changed):
    settings = json.loads(chain.settings(*sections, "masking", "training", "seed", **changed))
    return json.dumps(settings | {"shapes": {name: models.configs.from_config(config).to_config()}})


def original(chain, **changed):
    """An original configuration of a student for the chain's teacher."""
    sizes = {
        "hidden_size": 128,
        "embedding_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 96,
    }
    keys = {
        "trigram_input": True,
        "use_bottleneck": True,
        "intra_bottleneck_size": 24,
        "use_bottleneck_attention": True,
    }
    more = {
        "num_feedforward_networks": 3,
        "normalization_type": "no_norm",
        "hidden_act": "relu",
        "classifier_activation": False,
    }
    return (
        sizes
        | keys
        | more
        | {"type_vocab_size": 2, "vocab_size": tokenization.load(chain.tokenizer).size}
        | changed
    )


def common(chain, folder, out):
    return [
        *chain.data,
        "--state",
        folder / "state",
        "--out",
        folder / out,
    ]


def test_a_student_is_transferred_and_pretrained_in_it(chain, command, tmp_path):
    config = original(chain)
    names = ["--student", "mine", "--teacher", chain.teacher]
    settings = told(chain, "mine", config, "recipe", "transfer", "student")
    command(
        transfer_layer,
        "--settings",
        settings,
        *names,
        "--stage",
        "layer01",
        *common(chain, tmp_path, "layer"),
    )
    settings = told(chain, "mine", config, "recipe", "pretraining", "student")
    command(
        pretrain_student,
        "--settings",
        settings,
        *names,
        "--previous",
        tmp_path / "layer",
        *common(chain, tmp_path, "done"),
    )
    for name in ("layer", "done"):
        model_config = models.weights.load(tmp_path / name).config
        assert {key: getattr(model_config, key) for key in config} == config
        assert artifacts.read(tmp_path / name).settings["shapes"]["mine"]["intra_bottleneck_size"] == 24


def test_a_teacher_and_a_student_that_are_plain_berts(chain, command, tmp_path):
    keys = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "type_vocab_size",
        "vocab_size",
    )
    config = {key: original(chain)[key] for key in keys} | {"hidden_act": "gelu"}
    settings = told(chain, "mine", config, "teacher.shape", "teacher.training", teacher={"shape": "mine"})
    command(pretrain_teacher, "--settings", settings, *common(chain, tmp_path, "teacher"))
    assert models.weights.load(tmp_path / "teacher").config.hidden_act == "gelu_new"  # TF1's gelu
    settings = told(chain, "mine", config, "recipe", "transfer", "student")
    names = ["--student", "mine", "--teacher", chain.teacher]
    command(
        transfer_layer,
        "--settings",
        settings,
        *names,
        "--stage",
        "layer01",
        *common(chain, tmp_path, "student"),
    )
    assert models.weights.load(tmp_path / "student").config.model_type == "bert"


def test_another_vocabulary_than_the_records_is_refused(chain, command, tmp_path):
    settings = told(chain, "mine", original(chain, vocab_size=21128), "recipe", "transfer", "student")
    names = ["--student", "mine", "--teacher", chain.teacher, "--stage", "layer01"]
    with pytest.raises(
        UserError,
        match=r"shapes.mine: vocab_size is 21128, but the tokenizer of the records .* has \d+ entries",
    ):
        command(transfer_layer, "--settings", settings, *names, *common(chain, tmp_path, "out"))
