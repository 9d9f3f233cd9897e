"""transformers and torch judge: what we write it opens and computes alike, what it writes we open and
compute alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mobilebert import models
from mobilebert.models import configs, heads
from mobilebert.models.checkpoints import weights

TOLERANCE = 1e-9  # of the largest value, in float64
PLAIN = {"use_bottleneck": False, "normalization_type": "layer_norm", "num_feedforward_networks": 1}
TINY_BERT = {"hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 80}
TINY_MOBILE = {
    "hidden_size": 48,
    "embedding_size": 48,
    "intra_bottleneck_size": 24,
    "intermediate_size": 40,
    "num_attention_heads": 4,
}

Batch = dict[str, np.ndarray]

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "mini": ("mini", {"num_hidden_layers": 4}),
    "mini-teacher": ("mini-teacher", {"num_hidden_layers": 4}),
    "bert": ("bert-base", TINY_BERT),
    "bert, erf": ("bert-base", TINY_BERT | {"hidden_act": "gelu"}),
    "base-f2": ("base-f2", {}),
    "base-f4": ("base-f4", {}),
    "opt": ("opt", {}),
    "opt-qat": ("opt-qat", TINY_MOBILE | {"embedding_size": 24}),
    "no trigram": ("mini", {"trigram_input": False}),
    "no trigram, narrow table": ("mini", {"trigram_input": False, "embedding_size": 32}),
    "layer norm in a bottleneck": (
        "base-f4",
        TINY_MOBILE | {"normalization_type": "layer_norm", "layer_norm_eps": 1e-3},
    ),
    "bottleneck as wide as hidden": (
        "mini",
        {"intra_bottleneck_size": 128, "key_query_shared_bottleneck": False},
    ),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny products on many threads mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def opened(auto: Any, folder: Path) -> Any:
    """The directory as transformers opens it, in float64; nothing may be missing or left over."""
    theirs, notes = auto.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(notes.values()), notes
    return theirs.double().eval()


def run(theirs: Any, batch: Batch) -> Any:
    names = {"input_ids": "ids", "token_type_ids": "segments", "attention_mask": "mask"}
    with torch.no_grad():
        inputs = {name: torch.tensor(batch[key], dtype=torch.long) for name, key in names.items()}
        return theirs(**inputs, output_hidden_states=True, output_attentions=True)


def logits_everywhere(model: models.Model, batch: Batch) -> np.ndarray:
    """(B, S, V)."""
    count, length = batch["ids"].shape
    positions = np.tile(np.arange(length, dtype=np.int32), (count, 1))
    sequence = model.encode(batch["ids"], batch["segments"], batch["mask"]).sequence
    return np.asarray(model.masked_lm_logits(sequence, positions)).reshape(count, length, -1)


def assert_close(found: Any, expected: torch.Tensor) -> None:
    wanted = expected.numpy()
    assert np.asarray(found).dtype == wanted.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


@pytest.mark.parametrize("name", OURS)
def test_transformers_opens_what_we_write_and_computes_the_same(
    name: str,
    filled: Callable[..., models.Model],
    shape_of: Callable[..., configs.ModelConfig],
    saved: Callable[..., Path],
    batch: Batch,
) -> None:
    named, keys = OURS[name]
    model = filled(shape_of(named, **keys))
    theirs = opened(transformers.AutoModelForMaskedLM, saved(model))
    output = run(theirs, batch)
    assert type(theirs).__name__ == model.config.architecture()
    assert_close(logits_everywhere(model, batch), output.logits)
    encoded = model.encode(batch["ids"], batch["segments"], batch["mask"])
    assert len(encoded.hidden) == len(output.hidden_states) == model.config.num_hidden_layers + 1
    for ours, wanted in zip(encoded.hidden, output.hidden_states, strict=True):
        assert_close(ours, wanted)
    for scores, shares in zip(encoded.scores, output.attentions, strict=True):
        assert_close(torch.softmax(torch.tensor(np.asarray(scores)), -1).numpy(), shares)


@pytest.mark.parametrize("name", ["mini", "bert", "base-f2", "opt", "no trigram"])
def test_both_round_trips_are_bit_equal(
    name: str,
    filled: Callable[..., models.Model],
    shape_of: Callable[..., configs.ModelConfig],
    saved: Callable[..., Path],
    tmp_path: Path,
) -> None:
    named, keys = OURS[name]
    model = filled(shape_of(named, **keys))
    folder = saved(model)
    transformers.AutoModelForMaskedLM.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    for source in (folder, tmp_path / "theirs"):
        again = weights.load(source, variable_dtype="float64")
        assert again.config == model.config
        assert not again.fresh_head
        assert again.variables_by_name.keys() == model.variables_by_name.keys()
        for key, variable in model.variables_by_name.items():
            np.testing.assert_array_equal(again.variables_by_name[key], variable, err_msg=key)


def test_the_zero_row_tensor_is_in_the_file(
    filled: Callable[..., models.Model],
    shape_of: Callable[..., configs.ModelConfig],
    saved: Callable[..., Path],
) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(saved(filled(shape_of("mini"))) / "model.safetensors")
    assert tensors["cls.predictions.dense.weight"].shape == (0, 97)
    assert "cls.predictions.decoder.weight" not in tensors


def theirs_at_random(kind: Any, config: Any) -> Any:
    """A model of transformers' own making, every parameter random."""
    torch.manual_seed(1)
    made = kind(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made.eval()


BERT = transformers.BertConfig(vocab_size=97, num_hidden_layers=2, **TINY_BERT)
MOBILE = transformers.MobileBertConfig(
    vocab_size=97, num_hidden_layers=2, **(TINY_MOBILE | {"embedding_size": 16})
)
MOBILE_PLAIN = transformers.MobileBertConfig(
    vocab_size=97, num_hidden_layers=2, trigram_input=False, **(TINY_MOBILE | PLAIN)
)
# What a conversion gives that leaves key_query_shared_bottleneck at transformers' default: tensors that
# nothing uses.
MOBILE_BOTH = transformers.MobileBertConfig(
    vocab_size=97, num_hidden_layers=2, use_bottleneck_attention=True, **TINY_MOBILE
)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (transformers.BertForMaskedLM, BERT),
        (transformers.BertForPreTraining, BERT),
        (transformers.MobileBertForMaskedLM, MOBILE),
        (transformers.MobileBertForPreTraining, MOBILE),
        (transformers.MobileBertForMaskedLM, MOBILE_PLAIN),
        (transformers.MobileBertForMaskedLM, MOBILE_BOTH),
    ],
    ids=[
        "bert",
        "bert with NSP",
        "mobilebert",
        "mobilebert with NSP",
        "mobilebert without bottleneck",
        "both bottleneck keys",
    ],
)
def test_we_open_what_transformers_writes_and_compute_the_same(
    kind: Any, config: Any, batch: Batch, tmp_path: Path
) -> None:
    theirs = theirs_at_random(kind, config)
    theirs.save_pretrained(tmp_path / "theirs")
    output = run(theirs.double(), batch)
    model = weights.load(tmp_path / "theirs", compute_dtype="float64", variable_dtype="float64")
    assert_close(
        logits_everywhere(model, batch), output.logits if "logits" in output else output.prediction_logits
    )


def test_a_bare_bert_opens_without_its_head(batch: Batch, tmp_path: Path) -> None:
    theirs = theirs_at_random(transformers.BertModel, BERT)
    theirs.save_pretrained(tmp_path / "theirs")
    expected = run(theirs.double(), batch).last_hidden_state
    model = weights.load(tmp_path / "theirs", compute_dtype="float64", variable_dtype="float64")
    assert model.fresh_head
    assert_close(model.encode(batch["ids"], batch["segments"], batch["mask"]).sequence, expected)


@pytest.mark.parametrize("name", ["mini", "mini-teacher", "bert", "pooled mini"])
@pytest.mark.parametrize("task", ["classification", "reading"])
def test_heads_agree_with_transformers_both_ways(
    name: str,
    task: str,
    filled: Callable[..., models.Model],
    shaken: Callable[[dict[str, Any]], None],
    shape_of: Callable[..., configs.ModelConfig],
    saved: Callable[..., Path],
    batch: Batch,
    tmp_path: Path,
) -> None:
    named, keys = OURS[name.removeprefix("pooled ")]
    pooled = {"classifier_activation": True} if name.startswith("pooled") else {}
    config = shape_of(named, **(keys | pooled | {"num_hidden_layers": 1}))
    model = filled(config)
    head: Any
    if task == "classification":
        auto, head = (
            transformers.AutoModelForSequenceClassification,
            heads.for_classification(config, 3, 1, "float64"),
        )
    else:
        auto, head = (
            transformers.AutoModelForQuestionAnswering,
            heads.SpanHead(config.hidden_size, 1, variable_dtype="float64"),
        )
    shaken(head.variables_by_name)
    sequence = model.encode(batch["ids"], batch["segments"], batch["mask"]).sequence
    found = np.asarray(head(sequence))
    labels = {"labels": ["差", "中", "好"]} if task == "classification" else {}
    folder = saved(model, head, **labels)
    theirs = opened(auto, folder)
    output = run(theirs, batch)
    if task == "classification":
        assert_close(found, output.logits)
        assert theirs.config.id2label == {0: "差", 1: "中", 2: "好"}
    else:
        assert_close(found[..., 0], output.start_logits)
        assert_close(found[..., 1], output.end_logits)
    theirs.float().save_pretrained(tmp_path / "theirs")
    for source in (folder, tmp_path / "theirs"):
        again, body = (
            weights.load_head(source, variable_dtype="float64"),
            weights.load(source, compute_dtype="float64"),
        )
        assert body.fresh_head
        np.testing.assert_array_equal(np.asarray(again(sequence)), found)
        assert_close(
            np.asarray(body.encode(batch["ids"], batch["segments"], batch["mask"]).sequence),
            torch.tensor(np.asarray(sequence)),
        )
