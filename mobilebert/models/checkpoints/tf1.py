"""TensorFlow 1 checkpoints, both ways: BERT and MobileBERT under the variable names of Google's code and
Chinese-MobileBERT's.

A checkpoint is named by its prefix, `bert_model.ckpt` for `bert_model.ckpt.index` and
`bert_model.ckpt.data-00000-of-00001`. What is no weight of the model is left behind and counted: optimizer
slots, the step, a teacher that a student was saved with. Names and orientations: Chinese-MobileBERT
`modeling.py`, `run_pretraining.py`, `run_classifier.py`, Google's `run_squad.py`; ELECTRA's (read only):
google-research/electra `model/modeling.py`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import tempfile
import weakref
from collections.abc import Container, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.models import configs, parameters
from mobilebert.models.checkpoints import weights
from mobilebert.models.checkpoints.tensor_files import ORIGINAL_CONFIG, Checkpoint, Entry, disguise, read_json
from mobilebert.models.configs import ElectraConfig, MobileBertConfig, ModelConfig
from mobilebert.models.heads import ClassificationHead, SpanHead
from mobilebert.models.model import Model

PREFIX = "bert_model.ckpt"
MODEL, OTHERS = "model", "others"
# What else stands in a training's checkpoint. Order matters: a teacher comes before everything that it may be
# made of. Slots and averages are also known by standing below a variable (`component_of`).
COMPONENTS = {
    "teacher": r"teacher/",
    "optimizer slots": r".*/(adam|lamb)_[mv]$|.*/(Adam|Adam_1|Momentum)$|beta[12]_power(_\d+)?$",
    "step": r"global_step$",
    "norms of the transfer losses": r"hidden_distill_\d+/",
    "ELECTRA's generator and discriminator heads": r"generator/|(generator|discriminator)_predictions/",
}
ANCHOR = r"(|.*/)(?:bert|electra)/embeddings/position_embeddings"  # in every model
TYPES = {tf.float64: "F64", tf.float32: "F32", tf.float16: "F16", tf.bfloat16: "BF16"}
# transformers' name -> TF1's, and whether one is the other's transpose: what does not follow the rule of
# `original`.
EXCEPTIONS = {
    "cls.predictions.bias": ("cls/predictions/output_bias", False),
    "cls.predictions.dense.weight": ("cls/predictions/extra_output_weights", True),
    "cls.seq_relationship.weight": ("cls/seq_relationship/output_weights", False),
    "cls.seq_relationship.bias": ("cls/seq_relationship/output_bias", False),
    "classifier.weight": ("output_weights", False),
    "classifier.bias": ("output_bias", False),
    "qa_outputs.weight": ("cls/squad/output_weights", False),
    "qa_outputs.bias": ("cls/squad/output_bias", False),
}


class ComponentSize(NamedTuple):
    """So many variables of a checkpoint, and their size."""

    variables: int
    bytes: int


class Description(NamedTuple):
    """What a checkpoint holds: `parts` by the names of `COMPONENTS`, the model itself first (`MODEL`)."""

    prefix: Path
    files: list[Path]
    components: dict[str, ComponentSize]

    @property
    def bytes_on_disk(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in self.files)

    def __str__(self) -> str:
        lines = [
            f"{name}: {component.variables} variables, {component.bytes / 1e6:.1f} MB"
            for name, component in self.components.items()
        ]
        return f"{self.prefix}: {self.bytes_on_disk / 1e6:.1f} MB on disk; {'; '.join(lines)}"


def read(
    prefix: Path, config: Path, *, compute_dtype: str = "float32", variable_dtype: str = "float32"
) -> Model:
    """The model of a TF1 checkpoint, stripped of all else; sizes before and after stand in the log.

    Args:
        prefix: the checkpoint's prefix, one of its files, or a folder that holds one checkpoint.
        config: its configuration, `bert_config.json` or `student_base_f2.json`.
        compute_dtype: as `Model`.
        variable_dtype: as `Model`.

    Raises:
        UserError: not whole, damaged, or weights that do not fit the configuration.
    """
    checkpoint, model_config = _open(prefix, config)
    made = weights.assemble(
        checkpoint, model_config, compute_dtype=compute_dtype, variable_dtype=variable_dtype
    )
    before, after = describe(checkpoint.where), 4 * made.parameters
    logging.info("%s", before)
    logging.info(
        "kept %s parameters: %.1f of %.1f MB", f"{made.parameters:,}", after / 1e6, before.bytes_on_disk / 1e6
    )
    return made


def read_head(
    prefix: Path, config: Path, *, variable_dtype: str = "float32"
) -> ClassificationHead | SpanHead:
    """The task's head of a finetuned TF1 checkpoint.

    Raises:
        UserError: there is none, or it does not fit.
    """
    checkpoint, model_config = _open(prefix, config)
    return weights.assemble_head(checkpoint, model_config, variable_dtype=variable_dtype)


def write(folder: Path, model: Model, head: ClassificationHead | SpanHead | None = None) -> list[Path]:
    """Write `bert_model.ckpt.*` and `bert_config.json`, which the original code opens with
    `--init_checkpoint` and `--bert_config_file`.

    Variables are float32, as that code asks for them. Equal weights give equal bytes. With a task's head the
    MLM head is left out, as in `weights.save`.

    Raises:
        UserError: the TF1 code cannot express this model.
    """
    config = json.dumps(configs.to_original(model.config), indent=2, sort_keys=True) + "\n"
    arrays: dict[str, np.ndarray] = {}
    absent = parameters.head(model.config) if head is not None else {}
    for name, variable in (
        model.variables_by_name | (head.variables_by_name if head is not None else {})
    ).items():
        if name not in absent:
            spelled, _ = original(name, model.config)
            turned = name in (
                "classifier.weight",
                "qa_outputs.weight",
                "cls.predictions.dense.weight",
            )  # held as [in, out]
            arrays[spelled] = (
                np.asarray(variable, np.float32).T if turned else np.asarray(variable, np.float32)
            )
    for name in parameters.carried(model.config) if head is None else ():
        if name in model.carried:
            spelled, turned = original(name, model.config)
            arrays[spelled] = np.asarray(model.carried[name].T if turned else model.carried[name], np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(arrays)
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=str(folder / PREFIX),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(arrays[name]) for name in names],
        )
    (folder / ORIGINAL_CONFIG).write_text(config, encoding="utf-8")
    return [*sorted(folder.glob(f"{PREFIX}.*")), folder / ORIGINAL_CONFIG]


def describe(prefix: Path) -> Description:
    """What a checkpoint holds, part by part.

    Raises:
        UserError: not whole.
    """
    prefix, files = _whole(prefix)
    reader = _reader(prefix)
    types, sizes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    names = unscoped(sizes)
    counted: dict[str, ComponentSize] = {MODEL: ComponentSize(0, 0)}
    for spelled, name in names.items():
        component, size = component_of(spelled, names), math.prod(sizes[name]) * types[name].size
        known = counted.get(component, ComponentSize(0, 0))
        counted[component] = ComponentSize(known.variables + 1, known.bytes + size)
    return Description(prefix, files, counted)


def component_of(name: str, variables: Container[str] = ()) -> str:
    """Which of `COMPONENTS` a variable belongs to, or the model, or `OTHERS`.

    TF1 names a slot or an average after its variable, `kernel/BERTAdam`, `kernel/ExponentialMovingAverage`,
    so what stands below another of the `variables` is one, whatever the optimizer was called.
    """
    known = r"(bert|electra|cls)/|output_(weights|bias)(/|$)"
    component = next(
        (component for component, pattern in COMPONENTS.items() if re.match(pattern, name)),
        MODEL if re.match(known, name) else OTHERS,
    )
    slot = component == MODEL and any(name[: match.start()] in variables for match in re.finditer("/", name))
    return "optimizer slots" if slot else component


def unscoped(names: Iterable[str]) -> dict[str, str]:
    """A checkpoint's variables by their names in the original code, without the scope that another program
    built the model in (`student/bert/embeddings/...`).
    """
    every = list(names)
    anchors = [
        match for name in every if (match := re.fullmatch(ANCHOR, name)) and not match[1].endswith("teacher/")
    ]
    scope = anchors[0][1] if len(anchors) == 1 else ""
    return {name.removeprefix(scope): name for name in every}


def original(name: str, config: ModelConfig) -> tuple[str, bool]:
    """A tensor's name in TF1, and whether it lies there as the transpose of how transformers stores it."""
    if name in EXCEPTIONS:
        return EXCEPTIONS[name]
    body = name.removeprefix(f"{config.model_type}.")
    root = "" if body == name else "electra/" if isinstance(config, ElectraConfig) else "bert/"
    body = re.sub(r"\bencoder\.layer\.", "encoder.layer_", re.sub(r"\bffn\.", "ffn_layer_", body))
    if match := re.fullmatch(r"(.*)\.LayerNorm\.(weight|bias)", body):
        fake = isinstance(config, MobileBertConfig) and config.normalization_type == "no_norm" and root
        path, kind, turned = (
            f"{match[1]}.{'Fake' if fake else ''}LayerNorm",
            {"weight": "gamma", "bias": "beta"}[match[2]],
            False,
        )
    elif body.endswith("_embeddings.weight"):
        return f"{root}{body.removesuffix('.weight').replace('.', '/')}", False
    else:
        path, _, kind = body.rpartition(".")
        turned = kind == "weight"
        kind = "kernel" if turned else kind
    return f"{root}{path.replace('.', '/')}/{kind}", turned


class _Tf1Checkpoint(Checkpoint):
    """The variables under transformers' names; those that the shape does not know keep their own."""

    def __init__(self, prefix: Path, model_config: ModelConfig, config: Path) -> None:
        super().__init__(prefix, {}, config.name)
        self._shape = model_config
        reader = _reader(prefix)
        types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        _check_size(prefix, reader)
        stored_names = unscoped(shapes)
        known = parameters.specification(model_config) | parameters.carried(model_config)
        named = {original(name, model_config): name for name in [*known, *EXCEPTIONS]}
        by_name = {spelled: (name, turned) for (spelled, turned), name in named.items()}
        for spelled, own in stored_names.items():
            if component_of(spelled, stored_names) == MODEL:
                name, turned = by_name.get(spelled, (spelled, False))
                shape = tuple(shapes[own][::-1] if turned else shapes[own])
                dtype = TYPES.get(types[own], types[own].name)
                self.entries[name] = Entry(prefix, dtype, shape, partial(_variable, reader, own, turned))

    def spell(self, name: str, shape: tuple[int, ...]) -> tuple[str, list[int]]:
        spelled, turned = original(name, self._shape) if "/" not in name else (name, False)
        return spelled, list(shape[::-1] if turned else shape)


def _open(prefix: Path, config: Path) -> tuple[_Tf1Checkpoint, ModelConfig]:
    model_config = configs.from_config(read_json(config), str(config))
    return _Tf1Checkpoint(_whole(prefix)[0], model_config, config), model_config


def _check_size(prefix: Path, reader: tf.train.CheckpointReader) -> None:
    """Refuse data that end early, also in what is left behind.

    The numbers lie one after the other, without gaps.
    """
    types = reader.get_variable_to_dtype_map()
    sized = {
        name: shape
        for name, shape in reader.get_variable_to_shape_map().items()
        if types[name].is_numpy_compatible
    }
    expected = sum(
        math.prod(shape) * types[name].size for name, shape in sized.items() if types[name] != tf.string
    )
    data = [path for path in _whole(prefix)[1] if path.suffix != ".index"]
    if (size := sum(path.stat().st_size for path in data)) < expected:
        raise UserError(
            f"{data[-1]}: cut off; the data have {size} bytes, {prefix.name}.index names {expected}; "
            f"download it again"
        )


def _variable(reader: tf.train.CheckpointReader, name: str, turned: bool) -> np.ndarray:
    value = reader.get_tensor(name)
    value = value.view(np.uint16) if value.dtype == tf.bfloat16.as_numpy_dtype else value
    return value.T if turned else value


def _whole(source: Path) -> tuple[Path, list[Path]]:
    """The prefix that is meant, and the files of a whole checkpoint.

    Raises:
        UserError: naming the file that is missing or is not what its name says.
    """
    prefix = Path(re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(source)))
    if source.is_dir():
        indexes = sorted(source.glob("*.index"))
        if len(indexes) != 1:
            names = ", ".join(path.name for path in indexes) or "none"
            raise UserError(
                f"{source}: one TensorFlow 1 checkpoint (*.index) is expected, found {names}; name its prefix"
            )
        prefix = indexes[0].with_suffix("")
    folder, index = prefix.parent, Path(f"{prefix}.index")
    near = (
        ", ".join(
            sorted(
                path.name
                for path in folder.glob("*")
                if re.search(r"\.(index|data-\d{5}-of-\d{5})$", path.name)
            )
        )
        or "none"
    )
    if not index.is_file():
        raise UserError(
            f"{index}: not there; a TensorFlow 1 checkpoint is named by its prefix; beside it: {near}"
        )
    counts = re.findall(re.escape(prefix.name) + r"\.data-\d{5}-of-(\d{5})(?=,|$)", near)
    count = int(counts[0]) if counts else 1
    wanted = [Path(f"{prefix}.data-{number:05d}-of-{count:05d}") for number in range(count)]
    for path in [index, *wanted]:
        if not path.is_file():
            raise UserError(
                f"{path}: not there, though {index.name} is; found {near}; download it, or give the "
                f"files "
                f"one name"
            )
        if reason := disguise(path):
            raise UserError(f"{path}: not a part of a checkpoint but {reason}")
    return prefix, [index, *wanted]


def _reader(prefix: Path) -> tf.train.CheckpointReader:
    """TensorFlow's reader. It takes a prefix for a pattern, so a path with `*?[\\` in it is read through
    links under a plain name, which stay as long as the reader.
    """
    if re.search(r"[*?\[\\]", str(prefix)):
        links = tempfile.TemporaryDirectory()
        for path in _whole(prefix)[1]:
            name = path.name.removeprefix(prefix.name)
            Path(links.name, f"model{name}").symlink_to(path.absolute())
        reader = _opened(Path(links.name, "model"), prefix)
        weakref.finalize(reader, links.cleanup)
        return reader
    return _opened(prefix, prefix)


def _opened(path: Path, prefix: Path) -> tf.train.CheckpointReader:
    try:
        return tf.train.load_checkpoint(str(path))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        size = Path(f"{prefix}.index").stat().st_size
        raise UserError(
            f"{prefix}.index: not a whole index of a checkpoint, {size} bytes ({error}); download it again"
        ) from None
