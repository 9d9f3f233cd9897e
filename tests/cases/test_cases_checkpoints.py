"""Checkpoints as people have them: saved by other trainings, other tools, in odd folders."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file, save_model

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import weights
from mobilebert.models.checkpoints.import_student import import_student
from mobilebert.models.checkpoints.import_teacher import import_teacher
from mobilebert.models.model import Model
from mobilebert.tokenization import SPECIAL
from tests import tf1_checkpoints

TOKENS = [*SPECIAL, *"中文模型小大的一是在"]
SIZES = {
    "vocab_size": len(TOKENS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 12,
}
BERT = transformers.BertConfig(**SIZES)
MOBILE = transformers.MobileBertConfig(
    **SIZES, embedding_size=8, intra_bottleneck_size=8, num_feedforward_networks=2
)
KINDS = {
    "bert": (transformers.BertForMaskedLM, BERT),
    "mobilebert": (transformers.MobileBertForMaskedLM, MOBILE),
}
TABLE = "embeddings.word_embeddings.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Any:
    kind, config = KINDS[request.param]
    torch.manual_seed(2)
    return kind(config)


def written(
    network: Any, folder: Path, tensors: Tensors | None = None, name: str = "model.safetensors"
) -> Path:
    """The network's folder with the given tensors in one file."""
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    if tensors is not None:
        (folder / "model.safetensors").unlink()
        tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
        save_file(tensors, folder / name) if name.endswith("safetensors") else torch.save(
            tensors, folder / name
        )
    return folder


def imported(source: Path, **options: Any) -> Model:
    """Through import_teacher, as the rule does it."""
    out = source.parent / "imported"
    import_teacher(source, out, **options)
    return weights.load(out)


def assert_holds(model: Model, network: Any, rows: int | None = None) -> None:
    state = network.state_dict()
    for name, variable in model.variables_by_name.items():
        value, wanted = variable.numpy(), state[name].numpy()
        turned = value.T if value.shape != wanted.shape and value.ndim == 2 else value
        candidates = [wanted, wanted.T] if wanted.ndim == 2 else [wanted]
        cut = [one[tuple(map(slice, turned.shape))] if rows else one for one in candidates]
        assert any(np.array_equal(one, two) for one in cut for two in (value, value.T)), name


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "module.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "student.net.",
        "bert.",
        "module.bert.",
    ],
)
def test_wrappers_around_names_are_taken_off(
    prefix: str, file: str, network: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    with caplog.at_level(logging.INFO):
        assert_holds(imported(written(network, tmp_path / "source", tensors, file)), network)
    assert f"tensors stand in a wrapper: {prefix}" in caplog.text


def test_a_wrapper_inside_a_name_is_taken_off(network: Any, tmp_path: Path) -> None:
    tensors = {
        name.replace(".encoder.", ".encoder._orig_mod.").replace(
            ".layer.1.", ".layer.1._checkpoint_wrapped_module."
        ): value
        for name, value in network.state_dict().items()
    }
    assert_holds(imported(written(network, tmp_path / "source", tensors)), network)


def test_wrapped_shards_are_read_through_their_index(network: Any, tmp_path: Path) -> None:
    folder = written(network, tmp_path / "source", {})
    names = sorted(network.state_dict())
    files = {
        f"module.{name}": f"model-0000{1 + number % 2}-of-00002.safetensors"
        for number, name in enumerate(names)
    }
    for shard in set(files.values()):
        tensors = {
            name: network.state_dict()[name[7:]].clone() for name, file in files.items() if file == shard
        }
        save_file(tensors, folder / shard)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert_holds(imported(folder), network)


def test_two_models_in_one_file_are_named(network: Any, tmp_path: Path) -> None:
    tensors = {
        f"{prefix}{name}": value for prefix in ("a.", "b.") for name, value in network.state_dict().items()
    }
    with pytest.raises(UserError, match=r"holds 2 models, under a\., b\.;"):
        imported(written(network, tmp_path / "source", tensors))


def test_the_tensors_of_a_relative_are_named(tmp_path: Path) -> None:
    network = transformers.BertForMaskedLM(BERT)
    tensors = {name.replace("bert.", "roberta."): value for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=r"named roberta\.embeddings\.\.\., .* says 'bert'"):
        imported(written(network, tmp_path / "source", tensors))


def save_shared(network: Any, folder: Path) -> None:
    save_model(network, str(folder / "model.safetensors"))


def save_without_table(network: Any, folder: Path) -> None:
    tensors = {
        name: value.clone() for name, value in network.state_dict().items() if not name.endswith(TABLE)
    }
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("save", [save_shared, save_without_table])
def test_a_tied_table_is_read_under_any_of_its_names(
    save: Callable[[Any, Path], None], network: Any, tmp_path: Path
) -> None:
    folder = written(network, tmp_path / "source")
    save(network, folder)
    assert_holds(imported(folder), network)


@pytest.mark.parametrize("copy", ["decoder.weight", "decoder.bias"])
def test_a_tied_tensor_that_differs_from_its_other_name_is_refused(copy: str, tmp_path: Path) -> None:
    network = transformers.BertForMaskedLM(BERT)
    tensors = network.state_dict()
    tensors[f"cls.predictions.{copy}"] = tensors[f"cls.predictions.{copy}"] + 1
    with pytest.raises(UserError, match=rf"cls\.predictions\.{copy} differs from .* tied"):
        imported(written(network, tmp_path / "source", tensors))


def padded(kind: str, rows: int) -> Any:
    made, config = KINDS[kind]
    torch.manual_seed(3)
    network = made(copy.deepcopy(config))
    network.resize_token_embeddings(rows)
    return network


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [16, 64, 128])
def test_rows_of_padding_are_cut_off_and_said(
    kind: str, rows: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = padded(kind, rows)
    model = imported(written(network, tmp_path / "source"))
    assert model.config.vocab_size == len(TOKENS)
    assert_holds(model, network, rows)
    assert f"the {rows - len(TOKENS)} rows of padding are cut off" in caplog.text


@pytest.mark.parametrize("rows", [17, 30])
def test_a_table_that_no_padding_explains_is_refused(rows: int, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"has {len(TOKENS)} entries, .*vocab_size {rows}; they must be equal"
    ):
        imported(written(padded("bert", rows), tmp_path / "source"))


TF1 = {
    **SIZES,
    "hidden_act": "gelu",
    "type_vocab_size": 2,
    "attention_probs_dropout_prob": 0.1,
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
}


def original(folder: Path, extra: Callable[[dict[str, Any]], dict[str, Any]] = dict, **sizes: Any) -> Path:
    """A folder with a TF1 checkpoint of a BERT; `extra` adds variables."""
    config = TF1 | sizes
    values = tf1_checkpoints.values_of(tf1_checkpoints.body(config))
    tf1_checkpoints.save(folder / "bert_model.ckpt", extra(values), config)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return folder


SLOTS = {
    "BioBERT": ("BERTAdam", "BERTAdam_1"),
    "Google's": ("AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1"),
    "average": ("ExponentialMovingAverage",),
    "nested": ("lookahead/slow", "m", "v"),
    "LAMB": ("LAMB", "LAMB_1"),
}


@pytest.mark.parametrize("slots", SLOTS.values(), ids=SLOTS)
def test_slots_of_any_optimizer_are_left_behind_and_counted(
    slots: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = imported(original(tmp_path / "plain" / "source"))
    count = len(plain.variables_by_name)

    def add(values: dict[str, Any]) -> dict[str, Any]:
        return values | {f"{name}/{slot}": value for name, value in values.items() for slot in slots}

    with caplog.at_level(logging.INFO):
        model = imported(original(tmp_path / "slots" / "source", add))
    assert f"optimizer slots: {count * len(slots)} variables" in caplog.text
    for name, variable in plain.variables_by_name.items():
        np.testing.assert_array_equal(model.variables_by_name[name].numpy(), variable.numpy())


@pytest.mark.parametrize("scope", ["student/", "model/tower_0/"])
def test_a_scope_around_a_tf1_model_is_taken_off(scope: str, tmp_path: Path) -> None:
    plain = imported(original(tmp_path / "plain" / "source"))

    def wrap(values: dict[str, Any]) -> dict[str, Any]:
        slots = {f"{name}/BERTAdam": value for name, value in values.items()}
        teacher = {f"teacher/{name}": value for name, value in values.items()}
        return teacher | {f"{scope}{name}": value for name, value in (values | slots).items()}

    model = imported(original(tmp_path / "scoped" / "source", wrap))
    for key, variable in plain.variables_by_name.items():
        np.testing.assert_array_equal(model.variables_by_name[key].numpy(), variable.numpy())


@pytest.mark.parametrize("name", ["bert [v1] 中文", "a*b?", "[ab]", r"back\slash"])
def test_a_tf1_checkpoint_is_read_from_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    plain = imported(original(tmp_path / "plain" / "source"))
    model = imported(original(tmp_path / name / "source"), kind="tf1")
    for key, variable in plain.variables_by_name.items():
        np.testing.assert_array_equal(model.variables_by_name[key].numpy(), variable.numpy())


def test_a_tf1_students_padding_is_cut_off(tmp_path: Path) -> None:
    source = original(tmp_path / "source", vocab_size=64)
    import_student(source, None, None, tmp_path / "student")
    assert weights.load(tmp_path / "student").config.vocab_size == len(TOKENS)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_trainings_checkpoint_gives_its_model_without_its_optimizer(
    key: str, zipped: bool, tmp_path: Path
) -> None:
    network = transformers.BertForMaskedLM(BERT)
    folder = written(network, tmp_path / "source", {})
    (folder / "model.safetensors").unlink()
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    optimizer.step()
    body = {key: network.state_dict(), "optimizer": optimizer.state_dict(), "step": 1}
    torch.save(body, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert_holds(imported(folder), network)


def test_an_adapter_that_is_not_merged_is_named(tmp_path: Path) -> None:
    network = transformers.BertForMaskedLM(BERT)
    tensors = {
        f"base_model.model.{name.replace('.query.', '.query.base_layer.')}": value
        for name, value in network.state_dict().items()
    }
    folder = written(network, tmp_path / "source", tensors)
    with pytest.raises(UserError, match=r"query\.base_layer\.\w+ belongs to an adapter .*merge_and_unload"):
        imported(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config\.json: not there; .* an adapter alone: merge it"):
        imported(folder)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("last.ckpt", r"last\.ckpt \(if torch wrote it, name it pytorch_model\.bin\)"),
        ("model.pt", r"model\.pt \(if torch wrote it"),
        ("best.safetensors", r"best\.safetensors \(name it model\.safetensors\)"),
        ("tf_model.h5", r"tf_model\.h5 \(open it with transformers"),
    ],
)
def test_weights_under_another_name_are_named_with_what_to_do(name: str, advice: str, tmp_path: Path) -> None:
    folder = written(transformers.BertForMaskedLM(BERT), tmp_path / "source")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(UserError, match=advice):
        imported(folder)


def test_the_folders_of_a_training_are_named_where_their_parent_was_given(tmp_path: Path) -> None:
    for step in (100, 200):
        written(transformers.BertForMaskedLM(BERT), tmp_path / "source" / f"checkpoint-{step}")
    with pytest.raises(UserError, match=r"in it lie checkpoint-100, checkpoint-200: name one of them"):
        imported(tmp_path / "source")


def test_a_file_that_is_not_read_beside_another_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = transformers.BertForMaskedLM(BERT)
    folder = written(network, tmp_path / "source")
    torch.save(transformers.BertForMaskedLM(BERT).state_dict(), folder / "pytorch_model.bin")
    assert_holds(imported(folder), network)
    assert "model.safetensors is read, not pytorch_model.bin beside it" in caplog.text


@pytest.mark.parametrize("kind", ["albert", "deberta-v2", "ernie", "roberta"])
def test_another_architecture_is_refused_by_its_name_in_one_line(kind: str, tmp_path: Path) -> None:
    folder = written(transformers.BertForMaskedLM(BERT), tmp_path / "source")
    body = json.loads((folder / "config.json").read_text()) | {"model_type": kind}
    (folder / "config.json").write_text(json.dumps(body))
    with pytest.raises(UserError, match=f"a model of type '{kind}', expected bert") as caught:
        imported(folder)
    assert len(str(caught.value).splitlines()) == 1
