"""What a shape costs before anything is built: parameters by part, floating-point operations, size on disk.

No TensorFlow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mobilebert.errors import UserError
from mobilebert.models import configs, parameters
from mobilebert.models.checkpoints.tensor_files import (
    CONFIG,
    ORIGINAL_CONFIG,
    WEIGHTS,
    read_config,
    read_json,
)
from mobilebert.models.configs import ModelConfig
from mobilebert.models.parameters import Kind, Tensors

CHINESE, ENGLISH = 21128, 30522  # entries of Google's vocabularies, with which the published counts are made
LENGTHS = (128, 512)
SIZES = {"float32": 4, "float16": 2}  # bytes of a number
CONVENTION = (
    "FLOPs: 2 for each multiply-add of the matrix products of embeddings and layers, for one "
    "sequence; no MLM head, norms, softmax"
)


class Cost(NamedTuple):
    """Parameters and floating-point operations."""

    by_component: dict[str, int]
    total: int
    flops: dict[int, int]  # by sequence length
    head_flops: int  # for each predicted token


def cost(config: ModelConfig) -> Cost:
    """Count.

    `total` is backbone and MLM head with the tied table once, no pooler, no NSP: the published convention.
    """
    embeddings, head = parameters.embeddings(config), parameters.head(config)
    table = f"{config.model_type}.embeddings.word_embeddings.weight"
    widening = {
        name: tensor
        for name, tensor in embeddings.items()
        if "embedding_transformation" in name or "_project" in name
    }
    others = {name: tensor for name, tensor in embeddings.items() if name != table and name not in widening}
    by_component = {"word table": _count({table: embeddings[table]})}
    if widening:
        by_component["embedding transformation"] = _count(widening)
    layer = _count(parameters.layer(config, 1))
    by_component["position and type tables, norm"] = _count(others)
    by_component[f"{config.num_hidden_layers} layers of {layer:,}"] = layer * config.num_hidden_layers
    by_component["MLM head without the tied table"] = _count(head)
    products = _products(head) + config.vocab_size * config.hidden_size
    return Cost(
        by_component,
        sum(by_component.values()),
        {length: _flops(config, length) for length in LENGTHS},
        2 * products,
    )


def _flops(config: ModelConfig, length: int) -> int:
    """Of embeddings and layers for one sequence.

    MobileBERT's paper counts alike: BERT-base has 22.5e9 at length 128.
    """
    weighed = _products(parameters.embeddings(config)) + config.num_hidden_layers * _products(
        parameters.layer(config, 1)
    )
    attention = (
        2 * length * config.inner_size * config.num_hidden_layers
    )  # scores and their sum, for each token
    return 2 * length * (weighed + attention)


def _products(made: Tensors) -> int:
    """Multiply-adds for one token."""
    return sum(math.prod(tensor.shape) for tensor in made.values() if tensor.kind is Kind.KERNEL)


def _count(made: Tensors) -> int:
    return sum(math.prod(tensor.shape) for tensor in made.values())


def bytes_on_disk(config: ModelConfig, size: int) -> int:
    """Size of a safetensors file with numbers of `size` bytes: the numbers, and the header that names
    them.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in (parameters.specification(config) | parameters.unused(config)).items():
        start, end = end, end + size * math.prod(tensor.shape)
        header[name] = {"dtype": f"F{8 * size}", "shape": tensor.stored_shape, "data_offsets": [start, end]}
    return 8 + -(-len(json.dumps(header, separators=(",", ":"))) // 8) * 8 + end


def find(name: str, vocabulary: int | None = None) -> ModelConfig:
    """The shape of a name, of an original or transformers configuration, or of a model's folder.

    Raises:
        UserError: none of these, or a file that says another vocabulary than `vocabulary`.
    """
    if name in configs.names():
        return configs.named(name, vocabulary or (ENGLISH if name in ("opt", "opt-qat", "tiny") else CHINESE))
    path = Path(name)
    if not path.exists():
        known = ", ".join(configs.names())
        raise UserError(
            f"'{name}' is neither a shape ({known}) nor a configuration's file ({ORIGINAL_CONFIG}) nor a "
            f"model's folder"
        )
    config = read(path)
    if vocabulary not in (None, config.vocab_size):
        raise UserError(f"{name}: vocab_size {config.vocab_size}, expected {vocabulary}")
    return config


def read(path: Path) -> ModelConfig:
    """The shape that an original or transformers configuration describes, or the one in a model's folder.

    Raises:
        UserError: it is not there, or no such configuration.
    """
    if path.is_dir():
        return configs.from_config(read_config(path), str(path / CONFIG))
    return configs.from_config(read_json(path), str(path))


def page(name: str, config: ModelConfig) -> str:
    """A page about one shape: its keys, parameters, FLOPs and sizes."""
    made = cost(config)
    keys = {
        key: value
        for key, value in config.to_config().items()
        if key in ("hidden_act", "vocab_size") or key.endswith(("_size", "_layers"))
    }
    rows = [
        (component, f"{count:,}", f"{count / made.total:.1%}")
        for component, count in made.by_component.items()
    ]
    rows.append(("parameters (no pooler, no NSP)", f"{made.total:,}", ""))
    rows += [(f"GFLOPs at length {length}", f"{flops / 1e9:.2f}", "") for length, flops in made.flops.items()]
    rows.append(("MFLOPs for each predicted token", f"{made.head_flops / 1e6:.1f}", ""))
    rows += [
        (f"MB of {WEIGHTS} in {kind}", f"{bytes_on_disk(config, size) / 1e6:.1f}", "")
        for kind, size in SIZES.items()
    ]
    rows += _files(Path(name))
    heading = (
        f"{name}: {config.architecture()}, "
        f"{', '.join(f'{key} {value}' for key, value in sorted(keys.items()))}"
    )
    return "\n".join([heading, *_aligned(rows), CONVENTION])


def _files(folder: Path) -> list[tuple[str, str, str]]:
    """Sizes of the model's files that are there, a TFLite export among them."""
    paths = (
        sorted(path for kind in ("safetensors", "bin", "tflite") for path in folder.glob(f"*.{kind}"))
        if folder.is_dir()
        else []
    )
    return [(f"MB of {path.name}", f"{path.stat().st_size / 1e6:.1f}", "") for path in paths]


def table(vocabulary: int | None = None) -> str:
    """All named shapes in one table."""
    rows = [
        (
            "shape",
            "vocabulary",
            "parameters",
            "layers",
            *(f"GFLOPs {length}" for length in LENGTHS),
            *(f"MB {kind}" for kind in SIZES),
        )
    ]
    for name in configs.names():
        config = find(name, vocabulary)
        made = cost(config)
        flops = (f"{made.flops[length] / 1e9:.2f}" for length in LENGTHS)
        sizes = (f"{bytes_on_disk(config, size) / 1e6:.1f}" for size in SIZES.values())
        rows.append(
            (name, f"{config.vocab_size:,}", f"{made.total:,}", str(config.num_hidden_layers), *flops, *sizes)
        )
    return "\n".join([*_aligned(rows), CONVENTION])


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )
    return [line.rstrip() for line in lines]
