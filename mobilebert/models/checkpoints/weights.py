"""Weights in transformers' form, both ways: `save` writes a directory that transformers opens, `load` reads
one.

Nothing is guessed: missing, odd or ill-shaped tensors are refused with names and shapes, found and expected.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

from mobilebert.errors import UserError
from mobilebert.models import configs, heads, parameters
from mobilebert.models.checkpoints.tensor_files import (
    CONFIG,
    EXTRA,
    WEIGHTS,
    Checkpoint,
    config_of,
    of_folder,
    read_config,
)
from mobilebert.models.configs import MobileBertConfig, ModelConfig
from mobilebert.models.heads import ClassificationHead, SpanHead
from mobilebert.models.model import Model, initial
from mobilebert.models.parameters import Kind, Tensor, Tensors
from mobilebert.storage.artifacts import Writer

SHOWN = 6  # problems listed in one message
TABLES = re.compile(
    r"embeddings\.(word|position|token_type)_embeddings\.|embeddings\.embedding_transformation\."
    r"|cls\.predictions\."
)
FRESH_HEAD_SEED = 0
TIED = (
    "cls.predictions.decoder.weight",
    "generator_lm_head.weight",
)  # copies of the word table in files of older versions
ALIASES = {"cls.predictions.bias": "cls.predictions.decoder.bias"}


def save(
    writer: Writer,
    model: Model,
    head: ClassificationHead | SpanHead | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Write config.json and model.safetensors.

    A pooler and NSP head that the model carries go to a file of their own (`EXTRA`): transformers'
    ...ForMaskedLM has no place for them and would report them.

    Args:
        writer: the artifact being written.
        model: with its MLM head, unless another head is given.
        head: written instead of the MLM head; `architectures` names the class that opens it.
        labels: names of the classes, for `id2label`.

    Raises:
        UserError: transformers has no class for this shape.
    """
    _check_expressible(model.config, head)
    wanted = dict(parameters.specification(model.config))
    insisted = parameters.unused(model.config)
    dtype = next(iter(model.variables_by_name.values())).dtype.name
    config = model.config.to_config() | {"dtype": dtype}
    variables: dict[str, Any] = dict(model.variables_by_name)
    if head is not None:
        wanted = {
            name: tensor for name, tensor in wanted.items() if name not in parameters.head(model.config)
        } | heads.tensors(head)
        insisted = {name: tensor for name, tensor in insisted.items() if not name.startswith("cls.")}
        variables |= head.variables_by_name
        config |= _head_config(model.config, head, labels)
    arrays = {
        name: _to_stored(tensor, tf.convert_to_tensor(variables[name]).numpy())
        for name, tensor in wanted.items()
    }
    for name, tensor in insisted.items():
        arrays[name] = model.carried.get(name, np.zeros(tensor.stored_shape, np.float32))
    text = json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    writer.path(CONFIG).write_text(text, encoding="utf-8")
    save_file(arrays, writer.path(WEIGHTS), metadata={"format": "pt"})
    extra = {name: model.carried[name] for name in parameters.carried(model.config) if name in model.carried}
    if extra and head is None:
        save_file(extra, writer.path(EXTRA), metadata={"format": "pt"})


def _check_expressible(config: ModelConfig, head: ClassificationHead | SpanHead | None) -> None:
    if isinstance(config, MobileBertConfig) and config.query_width != config.inner_size:
        raise UserError(
            "use_bottleneck with neither use_bottleneck_attention nor key_query_shared_bottleneck: "
            "transformers' query and key "
            f"take {config.inner_size} inputs, these take {config.query_width}; set one of the two keys"
        )
    if isinstance(head, ClassificationHead) and heads.kind_of(config) != head.kind:
        raise ValueError(
            "this classification head does not fit the model's class; make it with "
            "heads.for_classification(shape, ...)"
        )


def _head_config(
    model_config: ModelConfig, head: ClassificationHead | SpanHead, labels: Sequence[str] | None
) -> dict[str, Any]:
    config: dict[str, Any] = {"architectures": [model_config.architecture(head.task)]}
    if isinstance(head, ClassificationHead):
        known = list(labels) if labels is not None else [f"LABEL_{number}" for number in range(head.labels)]
        if len(set(known)) != head.labels:
            raise ValueError(f"{len(set(known))} names for {head.labels} labels")
        config["id2label"] = {str(number): name for number, name in enumerate(known)}
        config["label2id"] = {name: number for number, name in enumerate(known)}
    return config


def load(folder: Path | str, *, compute_dtype: str = "float32", variable_dtype: str = "float32") -> Model:
    """Read a transformers directory: BERT, ELECTRA or MobileBERT, as MaskedLM, PreTraining, bare model or
    with a task's head.

    Raises:
        UserError: as `assemble`.
    """
    config, checkpoint = _open(Path(folder))
    return assemble(checkpoint, config, compute_dtype=compute_dtype, variable_dtype=variable_dtype)


def assemble(
    checkpoint: Checkpoint,
    config: ModelConfig,
    *,
    compute_dtype: str = "float32",
    variable_dtype: str = "float32",
) -> Model:
    """The model of that shape from a checkpoint of either world.

    Pooler and NSP head are carried along (`model.carried`); what else is left behind is said in the log.
    Where there is no MLM head a random one stands in (`model.fresh_head` is True then).

    Raises:
        UserError: tensors missing, odd, ill-shaped or with NaN.
    """
    head = parameters.head(config)
    entries = checkpoint.entries
    table = f"{config.model_type}.embeddings.word_embeddings.weight"
    for name, copy in [*ALIASES.items(), *((table, tied) for tied in TIED)]:
        if name not in entries and copy in entries:
            entries[name] = entries[copy]
    fresh = not any(name in entries for name in head)
    wanted = {
        name: tensor
        for name, tensor in parameters.specification(config).items()
        if not (fresh and name in head)
    }
    carried = {
        name: tensor
        for name, tensor in (parameters.unused(config) | parameters.carried(config)).items()
        if name in entries
    }
    left = _check(checkpoint, wanted, carried, config)
    values: dict[str, Any] = {
        name: _from_stored(tensor, checkpoint.array(name)) for name, tensor in wanted.items()
    }
    _check_tied(checkpoint, values, config)
    kept = [name for name in carried if name not in parameters.unused(config)]
    if left or kept:
        lines = ", ".join(_families([*left, *kept])), ", ".join(_families(kept)) or "none of them"
        logging.info(
            "%s: no pretraining here uses %s; kept in %s: %s", checkpoint.where, lines[0], EXTRA, lines[1]
        )
    if fresh:
        logging.info("%s: holds no MLM head; a random one stands in", checkpoint.where)
        values |= {
            name: initial(name, tensor, FRESH_HEAD_SEED, config.initializer_range)
            for name, tensor in head.items()
        }
    model = Model(config, values, compute_dtype=compute_dtype, variable_dtype=variable_dtype)
    model.carried = {name: np.ascontiguousarray(checkpoint.array(name)) for name in carried}
    model.fresh_head = fresh
    return model


def load_head(folder: Path | str, *, variable_dtype: str = "float32") -> ClassificationHead | SpanHead:
    """Read the task's head of a finetuned directory.

    Raises:
        UserError: there is none, or its tensors do not fit the shape.
    """
    config, checkpoint = _open(Path(folder))
    return assemble_head(checkpoint, config, variable_dtype=variable_dtype)


def assemble_head(
    checkpoint: Checkpoint, config: ModelConfig, *, variable_dtype: str = "float32"
) -> ClassificationHead | SpanHead:
    """The task's head from a finetuned model's checkpoint of either world.

    Raises:
        UserError: there is none, or its tensors do not fit the shape.
    """
    made: ClassificationHead | SpanHead
    classifier = f"{heads.classifier_name(config)}.weight"
    if classifier in checkpoint.entries:
        labels = checkpoint.entries[classifier].shape[0]
        made = heads.for_classification(config, labels, 0, variable_dtype)
    elif "qa_outputs.weight" in checkpoint.entries:
        made = SpanHead(config.hidden_size, 0, variable_dtype=variable_dtype)
    else:
        raise UserError(
            f"{checkpoint.where}: holds no head of a task ({classifier} or qa_outputs.weight); is it a "
            f"finetuned model?"
        )
    wanted = heads.tensors(made)
    _refuse(checkpoint, _problems(checkpoint, wanted))
    for name, tensor in wanted.items():
        variable = made.variables_by_name[name]
        variable.assign(tf.cast(_from_stored(tensor, checkpoint.array(name)), variable.dtype))
    return made


def _open(folder: Path) -> tuple[ModelConfig, Checkpoint]:
    config = configs.from_config(read_config(folder), str(config_of(folder)))
    return config, of_folder(folder, config.model_type)


def copy_tables(teacher: Model, student: Model) -> list[str]:
    """Start the student from the teacher's tables: every variable of equal name and shape outside the layers
    and norms.

    Word, position and type tables, the trigram transformation where both have it, and the MLM head, as
    Chinese-MobileBERT's `run_pretraining.py` does it. The embedding norm stays: a plain BERT's has another
    name in that code (LayerNorm against FakeLayerNorm), and that of a teacher with trigram input, whose name
    is the same here, is a layer norm, not a mere scale.

    Returns:
        The student's names that were copied.
    """
    source = {
        _common_name(name, teacher.config): variable for name, variable in teacher.variables_by_name.items()
    }
    copied = []
    for name, variable in student.variables_by_name.items():
        table = source.get(_common_name(name, student.config))
        if table is None or not TABLES.search(name):
            continue
        if table.shape != variable.shape:
            logging.info(
                "%s: not copied, the teacher's is %s and the student's %s", name, table.shape, variable.shape
            )
            continue
        variable.assign(tf.cast(tf.convert_to_tensor(table), variable.dtype))
        copied.append(name)
    return copied


def _common_name(name: str, config: ModelConfig) -> str:
    plain = name.removeprefix(f"{config.model_type}.")
    # ELECTRA's head has other names; it is made of the same parts.
    plain = plain.replace("generator_predictions.", "cls.predictions.transform.").replace(
        "generator_lm_head.", "cls.predictions."
    )
    return plain


def _check(checkpoint: Checkpoint, wanted: Tensors, carried: Tensors, config: ModelConfig) -> list[str]:
    """Refuse what does not fit; return the names that are left behind."""
    leavable = [
        r"cls\.seq_relationship\.",
        r"classifier\.",
        r"qa_outputs\.",
        r"discriminator_predictions\.",
        r".*position_ids$",
    ]
    leavable.append(rf"{config.model_type}\.pooler\.")
    if isinstance(config, MobileBertConfig) and config.use_bottleneck_attention:
        # transformers' default for key_query_shared_bottleneck makes these, though its forward does not use
        # them
        leavable.append(r"mobilebert\.encoder\.layer\.\d+\.bottleneck\.attention\.")
    problems = _problems(checkpoint, wanted | carried)
    left = []
    for name, entry in checkpoint.entries.items():
        if name in wanted or name in carried or name in TIED or name in ALIASES.values():
            continue
        if re.match("|".join(leavable), name):
            left.append(name)
        else:
            problems.append(
                f"{_spelled(checkpoint, name, entry.shape)} is not part of this {config.class_prefix}"
            )
    _refuse(checkpoint, problems)
    return left


def _check_tied(checkpoint: Checkpoint, values: Mapping[str, np.ndarray], config: ModelConfig) -> None:
    table = f"{config.model_type}.embeddings.word_embeddings.weight"
    for name, copy in [*ALIASES.items(), *((table, tied) for tied in TIED)]:
        stored = name in values and copy in checkpoint.entries
        if stored and not np.array_equal(checkpoint.array(copy), values[name]):
            raise UserError(f"{checkpoint.where}: {copy} differs from {name}; only tied ones are known here")


def _problems(checkpoint: Checkpoint, wanted: Tensors) -> list[str]:
    problems = []
    for name, tensor in wanted.items():
        entry = checkpoint.entries.get(name)
        spelled, expected = checkpoint.spell(name, tensor.stored_shape)
        if entry is None:
            problems.append(f"{spelled} is missing, expected {expected}")
        elif entry.shape != tensor.stored_shape:
            problems.append("{} is {}, expected {}".format(*checkpoint.spell(name, entry.shape), expected))
    return problems


def _spelled(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> str:
    return "{} {}".format(*checkpoint.spell(name, shape))


def _refuse(checkpoint: Checkpoint, problems: list[str]) -> None:
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(
            f"{checkpoint.where}: the weights do not fit {checkpoint.config}: "
            f"{'; '.join(problems[:SHOWN])}{more}"
        )


def _families(names: Sequence[str]) -> list[str]:
    return sorted({re.sub(r"\.\d+\.", ".*.", name).rsplit(".", 1)[0] for name in names})


def _to_stored(tensor: Tensor, value: np.ndarray) -> np.ndarray:
    # safetensors writes the memory as it lies, so a transposed view would be written wrongly
    return np.ascontiguousarray(value.T if tensor.kind is Kind.KERNEL else value)


def _from_stored(tensor: Tensor, value: np.ndarray) -> np.ndarray:
    return value.T if tensor.kind is Kind.KERNEL else value


def versions() -> list[str]:
    """The installed distributions that shape a model's bytes; TensorFlow has another name for each device."""
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    return [
        name
        for name in ("tensorflow", "tensorflow-cpu", "tensorflow-tpu", "safetensors")
        if name in installed
    ]
