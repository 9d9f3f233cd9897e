"""The judge of imports is judged itself: the NumPy forward against transformers, under both worlds' names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

from mobilebert.distillation import reference_bert as reference

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
}
IDS = np.array([2, 7, 29, 11, 3, 5, 6, 3, 0, 0])
SEGMENTS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
MASK = np.array([1] * 8 + [0] * 2)


class Arrays:
    """A transformers directory's tensors."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self._tensors = tensors

    def array(self, name: str) -> np.ndarray:
        return self._tensors[name]


class AsTf1:
    """The same tensors as a TF1 checkpoint has them, written down by hand."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self._tensors = tensors

    def get_tensor(self, name: str) -> np.ndarray:
        if name == "cls/predictions/output_bias":
            return self._tensors["cls.predictions.bias"]
        body, _, last = name.replace("layer_", "layer.").replace("/", ".").rpartition(".")
        if last == "kernel":
            return self._tensors[f"{body}.weight"].T
        if last in ("gamma", "beta"):
            return self._tensors[f"{body}.{ {'gamma': 'weight', 'beta': 'bias'}[last] }"]
        return self._tensors[f"{body}.{last}" if last == "bias" else f"{body}.{last}.weight"]


def randomised(model: Any, folder: Path) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3)
    model.double().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def answers(model: Any) -> tuple[np.ndarray, np.ndarray | None]:
    model.eval()
    inputs = {"input_ids": IDS, "token_type_ids": SEGMENTS, "attention_mask": MASK}
    with torch.no_grad():
        found = model(
            **{name: torch.tensor(value[None]) for name, value in inputs.items()}, output_hidden_states=True
        )
    return found.hidden_states[-1][0].numpy(), found.logits[0].numpy() if "logits" in found else None


@pytest.mark.parametrize(("activation", "original"), [("gelu", False), ("gelu_new", True), ("relu", False)])
def test_bert_under_both_worlds_names(tmp_path: Path, activation: str, original: bool) -> None:
    config = transformers.BertConfig(**SIZES, intermediate_size=24, hidden_act=activation)
    model = transformers.BertForMaskedLM(config)
    tensors = randomised(model, tmp_path)
    told = config.to_dict() | ({"hidden_act": "gelu"} if original else {})  # what TF1 calls gelu_new
    source = (
        reference.Tf1Tensors(AsTf1(tensors)) if original else reference.TransformersTensors(Arrays(tensors))
    )
    hidden, logits = answers(model)
    found = reference.encode(source, told, original, IDS, SEGMENTS, MASK)
    np.testing.assert_allclose(found[:8], hidden[:8], rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        reference.logits(source, told, original, found)[:8], logits[:8], rtol=0, atol=1e-11
    )


def test_a_teacher_with_trigram_input(tmp_path: Path) -> None:
    config = transformers.MobileBertConfig(
        **SIZES, intermediate_size=24, embedding_size=16, intra_bottleneck_size=16, use_bottleneck=False,
        hidden_act="gelu", normalization_type="layer_norm", num_feedforward_networks=1,
        key_query_shared_bottleneck=False, trigram_input=True,
    )  # fmt: skip
    model = transformers.MobileBertForMaskedLM(config)
    source = reference.TransformersTensors(Arrays(randomised(model, tmp_path)), "mobilebert")
    found = reference.encode(source, config.to_dict(), False, IDS, SEGMENTS, MASK)
    np.testing.assert_allclose(found[:8], answers(model)[0][:8], rtol=0, atol=1e-12)


@pytest.mark.parametrize("original", [False, True])
def test_an_electra_with_narrow_tables(tmp_path: Path, original: bool) -> None:
    config = transformers.ElectraConfig(**SIZES, intermediate_size=24, embedding_size=8, hidden_act="gelu")
    model = transformers.ElectraModel(config)
    tensors = {f"electra.{name}": value for name, value in randomised(model, tmp_path).items()}
    source = (
        reference.Tf1Tensors(AsTf1(tensors), "electra")
        if original
        else reference.TransformersTensors(Arrays(tensors), "electra")
    )
    told = (
        config.to_dict()
        if not original
        else {name: value for name, value in config.to_dict().items() if name != "model_type"}
    )
    found = reference.encode(source, told, original, IDS, SEGMENTS, MASK)
    np.testing.assert_allclose(found[:8], answers(model)[0][:8], rtol=0, atol=1e-12)
