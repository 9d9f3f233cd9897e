"""Weights in transformers' form, both ways: `save` writes a directory that transformers opens, `load` reads one.

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

from mobilebert.artifacts import Writer
from mobilebert.errors import UserError
from mobilebert.models import heads, shapes, tensors
from mobilebert.models.checkpoints import CONFIG, WEIGHTS, Checkpoint, read_config
from mobilebert.models.heads import ClassificationHead, SpanHead
from mobilebert.models.model import Model, initial
from mobilebert.models.shapes import MobileBertShape, Shape
from mobilebert.models.tensors import Kind, Tensor, Tensors

SHOWN = 6  # problems listed in one message
TABLES = re.compile(r"embeddings\.(word|position|token_type)_embeddings\.|embeddings\.embedding_transformation\.|cls\.predictions\.")
FRESH_HEAD_SEED = 0


def save(writer: Writer, model: Model, head: ClassificationHead | SpanHead | None = None, labels: Sequence[str] | None = None) -> None:
    """Write config.json and model.safetensors.

    Args:
        writer: the artefact being written.
        model: with its MLM head, unless another head is given.
        head: written instead of the MLM head; `architectures` names the class that opens it.
        labels: names of the classes, for `id2label`.

    Raises:
        UserError: transformers has no class for this shape.
    """
    _check_expressible(model.shape, head)
    wanted = dict(tensors.specification(model.shape))
    optional = tensors.unused(model.shape)
    dtype = next(iter(model.variables_by_name.values())).dtype.name
    config = model.shape.to_config() | {"dtype": dtype}
    variables: dict[str, Any] = dict(model.variables_by_name)
    if head is not None:
        wanted = {name: tensor for name, tensor in wanted.items() if name not in tensors.head(model.shape)} | heads.tensors(head)
        optional = {name: tensor for name, tensor in optional.items() if not name.startswith("cls.")}
        variables |= head.variables_by_name
        config |= _head_config(model.shape, head, labels)
    arrays = {name: _to_stored(tensor, tf.convert_to_tensor(variables[name]).numpy()) for name, tensor in wanted.items()}
    for name, tensor in optional.items():
        arrays[name] = model.unused.get(name, np.zeros(tensor.stored_shape, np.float32))
    text = json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    writer.path(CONFIG).write_text(text, encoding="utf-8")
    save_file(arrays, writer.path(WEIGHTS), metadata={"format": "pt"})


def _check_expressible(shape: Shape, head: ClassificationHead | SpanHead | None) -> None:
    if isinstance(shape, MobileBertShape) and shape.query_width != shape.inner_size:
        raise UserError(
            "use_bottleneck with neither use_bottleneck_attention nor key_query_shared_bottleneck: transformers' query and key "
            f"take {shape.inner_size} inputs, these take {shape.query_width}; set one of the two keys"
        )
    if isinstance(head, ClassificationHead) and (head.pooler is not None) != shape.has_pooler:
        raise ValueError("this classification head does not fit the model's class; make it with heads.for_classification(shape, ...)")


def _head_config(shape: Shape, head: ClassificationHead | SpanHead, labels: Sequence[str] | None) -> dict[str, Any]:
    config: dict[str, Any] = {"architectures": [shape.architecture(head.task)]}
    if isinstance(head, ClassificationHead):
        known = list(labels) if labels is not None else [f"LABEL_{number}" for number in range(head.labels)]
        if len(set(known)) != head.labels:
            raise ValueError(f"{len(set(known))} names for {head.labels} labels")
        config["id2label"] = {str(number): name for number, name in enumerate(known)}
        config["label2id"] = {name: number for number, name in enumerate(known)}
    return config


def load(folder: Path | str, *, compute_dtype: str = "float32", variable_dtype: str = "float32") -> Model:
    """Read a transformers directory: BERT or MobileBERT, as MaskedLM, PreTraining, bare model or with a task's head.

    NSP head and pooler are left behind with a line in the log. Where there is no MLM head a random one stands in
    (`model.fresh_head` is True then).

    Raises:
        UserError: absent, damaged, of another kind, tensors missing, odd, ill-shaped or with NaN.
    """
    folder = Path(folder)
    config = read_config(folder)
    shape = shapes.from_config(config, str(folder / CONFIG))
    checkpoint = Checkpoint(folder, shape.model_type)
    head = tensors.head(shape)
    found = checkpoint.entries
    if "cls.predictions.bias" not in found and "cls.predictions.decoder.bias" in found:
        found["cls.predictions.bias"] = found["cls.predictions.decoder.bias"]
    fresh = not any(name in found for name in head)
    wanted = {name: tensor for name, tensor in tensors.specification(shape).items() if not (fresh and name in head)}
    left = _check(checkpoint, wanted, shape)
    values: dict[str, Any] = {name: _from_stored(tensor, checkpoint.array(name)) for name, tensor in wanted.items()}
    _check_tied(checkpoint, values, shape)
    if left:
        logging.info("%s: left behind, since no model here uses them: %s", folder, ", ".join(_families(left)))
    if fresh:
        logging.info("%s: holds no MLM head; a random one stands in", folder)
        values |= {name: initial(name, tensor, FRESH_HEAD_SEED, shape.initializer_range) for name, tensor in head.items()}
    model = Model(shape, values, compute_dtype=compute_dtype, variable_dtype=variable_dtype)
    model.unused = {name: checkpoint.array(name) for name in tensors.unused(shape) if name in found}
    model.fresh_head = fresh
    return model


def load_head(folder: Path | str, *, variable_dtype: str = "float32") -> ClassificationHead | SpanHead:
    """Read the task's head of a finetuned directory.

    Raises:
        UserError: there is none, or its tensors do not fit the shape.
    """
    folder = Path(folder)
    shape = shapes.from_config(read_config(folder), str(folder / CONFIG))
    checkpoint = Checkpoint(folder, shape.model_type)
    made: ClassificationHead | SpanHead
    if "classifier.weight" in checkpoint.entries:
        labels = checkpoint.entries["classifier.weight"].shape[0]
        made = heads.for_classification(shape, labels, 0, variable_dtype)
    elif "qa_outputs.weight" in checkpoint.entries:
        made = SpanHead(shape.hidden_size, 0, variable_dtype=variable_dtype)
    else:
        raise UserError(f"{folder}: holds no head of a task (classifier.weight or qa_outputs.weight); is it a finetuned model?")
    wanted = heads.tensors(made)
    _refuse(folder, _problems(checkpoint, wanted))
    for name, tensor in wanted.items():
        variable = made.variables_by_name[name]
        variable.assign(tf.cast(_from_stored(tensor, checkpoint.array(name)), variable.dtype))
    return made


def copy_tables(teacher: Model, student: Model) -> list[str]:
    """Start the student from the teacher's tables: every variable of equal name and shape outside the layers and norms.

    Word, position and type tables, the trigram transformation where both have it, and the MLM head, as Chinese-MobileBERT's
    `run_pretraining.py` does it (the embedding norm has another name there and stays).

    Returns:
        The student's names that were copied.
    """
    source = {_common_name(name, teacher.shape): variable for name, variable in teacher.variables_by_name.items()}
    copied = []
    for name, variable in student.variables_by_name.items():
        given = source.get(_common_name(name, student.shape))
        if given is None or not TABLES.search(name):
            continue
        if given.shape != variable.shape:
            logging.info("%s: not copied, the teacher's is %s and the student's %s", name, given.shape, variable.shape)
            continue
        variable.assign(tf.cast(tf.convert_to_tensor(given), variable.dtype))
        copied.append(name)
    return copied


def _common_name(name: str, shape: Shape) -> str:
    return name.removeprefix(f"{shape.model_type}.")


def _check(checkpoint: Checkpoint, wanted: Tensors, shape: Shape) -> list[str]:
    """Refuse what does not fit; return the names that are left behind."""
    leavable = [rf"{shape.model_type}\.pooler\.", r"cls\.seq_relationship\.", r"classifier\.", r"qa_outputs\.", r".*position_ids$"]
    if isinstance(shape, MobileBertShape) and shape.use_bottleneck_attention:
        # transformers' default for key_query_shared_bottleneck makes these, though its forward does not use them
        leavable.append(r"mobilebert\.encoder\.layer\.\d+\.bottleneck\.attention\.")
    unused = tensors.unused(shape)
    problems = _problems(checkpoint, wanted)
    problems += _problems(checkpoint, {name: tensor for name, tensor in unused.items() if name in checkpoint.entries})
    left = []
    for name, entry in checkpoint.entries.items():
        if name in wanted or name in unused or name.startswith("cls.predictions.decoder."):
            continue
        if re.match("|".join(leavable), name):
            left.append(name)
        else:
            problems.append(f"{name} {list(entry.shape)} is not part of this {shape.class_prefix}")
    _refuse(checkpoint.folder, problems)
    return left


def _check_tied(checkpoint: Checkpoint, values: Mapping[str, np.ndarray], shape: Shape) -> None:
    name, table = "cls.predictions.decoder.weight", f"{shape.model_type}.embeddings.word_embeddings.weight"
    if name in checkpoint.entries and not np.array_equal(checkpoint.array(name), values[table]):
        raise UserError(f"{checkpoint.folder}: {name} differs from {table}; only tied embeddings are known here")


def _problems(checkpoint: Checkpoint, wanted: Tensors) -> list[str]:
    problems = []
    for name, tensor in wanted.items():
        entry = checkpoint.entries.get(name)
        if entry is None:
            problems.append(f"{name} is missing, expected {list(tensor.stored_shape)}")
        elif entry.shape != tensor.stored_shape:
            problems.append(f"{name} is {list(entry.shape)}, expected {list(tensor.stored_shape)}")
    return problems


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(f"{folder}: the weights do not fit {CONFIG}: {'; '.join(problems[:SHOWN])}{more}")


def _families(names: Sequence[str]) -> list[str]:
    return sorted({re.sub(r"\.\d+\.", ".*.", name).rsplit(".", 1)[0] for name in names})


def _to_stored(tensor: Tensor, value: np.ndarray) -> np.ndarray:
    # safetensors writes the memory as it lies, so a transposed view would be written wrongly
    return np.ascontiguousarray(value.T if tensor.kind is Kind.KERNEL else value)


def _from_stored(tensor: Tensor, value: np.ndarray) -> np.ndarray:
    return value.T if tensor.kind is Kind.KERNEL else value


def versions() -> list[str]:
    """The installed distributions that shape a model's bytes; TensorFlow has another name for each device."""
    installed = {found.metadata["Name"] for found in metadata.distributions()}
    return [name for name in ("tensorflow", "tensorflow-cpu", "tensorflow-tpu", "safetensors") if name in installed]
