"""Check an export by another way than it was written: read it again, and let an independent program
compute.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

from mobilebert import tokenization
from mobilebert.distillation import stage_schedule
from mobilebert.errors import UserError
from mobilebert.exporting import network, tflite
from mobilebert.exporting.network import INPUTS, LOGITS, Batch, Network
from mobilebert.exporting.probes import probes
from mobilebert.exporting.writing import SHAPING, SIGNATURE_FILE, refuse_beyond
from mobilebert.models import configs, parameters
from mobilebert.models.checkpoints import tf1
from mobilebert.models.checkpoints.tensor_files import CONFIG, ORIGINAL_CONFIG, WEIGHTS, read_config
from mobilebert.models.heads import SpanHead
from mobilebert.models.numerics import difference, rounded_up
from mobilebert.settings import Export
from mobilebert.storage import artifacts

PROBE_SEED = 1


class Verdict(NamedTuple):
    """Who judged, the largest relative difference found, and the outputs compared."""

    judge: str
    worst: float
    outputs: list[str]


def check(model: Path, export: Path, export_format: str, settings: Export, out: Path) -> None:
    """Compare an export with the model it was made from, and write check.json.

    Raises:
        UserError: naming what differs; no artifact is written then.
    """
    manifest = artifacts.read(export, "export")
    if manifest.settings["format"] != export_format:
        raise UserError(
            f"{export}: an export of format {manifest.settings['format']}, expected {export_format}"
        )
    if manifest.inputs["model"] != artifacts.digest(model):
        raise UserError(f"{export}: was made from another model than {model}; export it again")
    if tokenization.load(export).digest != tokenization.load(model).digest:
        raise UserError(f"{export}: its tokenizer differs from the one of {model}; export it again")
    verdict = {"tflite": _check_tflite, "tf1": _check_tf1, "transformers": _check_transformers}[
        export_format
    ](model, export)
    refuse_beyond(settings.tolerance, verdict.worst, str(export))
    body = {
        "format": export_format,
        "judge": verdict.judge,
        "outputs": verdict.outputs,
        "max_relative_difference": rounded_up(verdict.worst),
        "tolerance": settings.tolerance,
        "passed": True,
    }
    shaping = {"format": export_format, "export": settings.model_dump(mode="json", include=SHAPING)}
    with artifacts.writing(
        out, "check", settings=shaping, inputs={"model": model, "export": export}
    ) as writer:
        writer.json("check.json", body)
    logging.info("%s: %s found a largest relative difference of %.1e", export, verdict.judge, verdict.worst)


def _check_tflite(model: Path, export: Path) -> Verdict:
    """LiteRT against the model's own float32 forward, on other inputs than at export time."""
    loaded = network.load(model)
    runner = tflite.Runner(export / tflite.FILE)
    signature = json.loads((export / SIGNATURE_FILE).read_text(encoding="utf-8"))
    for kind, actual in (("inputs", runner.inputs), ("outputs", runner.outputs)):
        listed = {
            name: {"dtype": entry["dtype"], "shape": entry["shape"]}
            for name, entry in signature[kind].items()
        }
        if listed != actual:
            raise UserError(
                f"{export / SIGNATURE_FILE}: lists the {kind} {listed}, the file has {actual}; export the "
                "model again"
            )
    length = signature["inputs"]["input_ids"]["shape"][1]
    pairs = (
        (runner.run(batch)[loaded.output], loaded.run(batch))
        for batch in probes(loaded.tokenizer, length, PROBE_SEED)
    )
    judge = f"LiteRT (ai-edge-litert {metadata.version('ai-edge-litert')}) in float32"
    return Verdict(judge, max(difference(actual, expected) for actual, expected in pairs), [loaded.output])


def _check_tf1(model: Path, export: Path) -> Verdict:
    """The checkpoint through TensorFlow's own reader: every variable bit for bit, no other there, and what
    it computes.
    """
    loaded, prefix, config = network.load(model), export / tf1.PREFIX, export / ORIGINAL_CONFIG
    model_config, reader = loaded.model.config, tf.train.load_checkpoint(str(prefix))
    expected = {
        tf1.original(name, model_config): value
        for name, value in _tensors(model).items()
        if name not in parameters.unused(model_config)
    }
    there = reader.get_variable_to_shape_map().keys()
    if unlike := sorted(there ^ {name for name, _ in expected}):
        raise UserError(
            f"{prefix}: variables {', '.join(unlike[:6])} are not in both the model and its export; export "
            "it again"
        )
    for (name, turned), value in expected.items():
        if not np.array_equal(reader.get_tensor(name), value.T if turned else value):
            raise UserError(f"{prefix}: variable {name} differs from the model's; export it again")
    ours = network.load(model, "float64")
    head = tf1.read_head(prefix, config, variable_dtype="float64") if loaded.head is not None else None
    again = Network(
        tf1.read(prefix, config, compute_dtype="float64", variable_dtype="float64"),
        loaded.tokenizer,
        head,
        loaded.labels,
    )
    batches = probes(loaded.tokenizer, min(64, model_config.max_position_embeddings), PROBE_SEED)
    worst = max(difference(_logits(again, batch), _logits(ours, batch)) for batch in batches)
    judge = f"TensorFlow {tf.__version__}'s checkpoint reader, bit for bit, and our import in float64"
    return Verdict(judge, worst, [LOGITS])


def _check_transformers(model: Path, export: Path) -> Verdict:
    """transformers in float64 where it is installed; else our own loader alone."""
    _compare_files(model, export)
    loaded = network.load(model, "float64")
    batches = probes(loaded.tokenizer, min(64, loaded.model.config.max_position_embeddings), PROBE_SEED)
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        judge = f"transformers {metadata.version('transformers')} in float64"
        answers = _transformers_answers(export, loaded, batches)
    else:
        judge = "our own loader in float64 (torch and transformers are not installed)"
        again = network.load(export, "float64")
        answers = (_logits(again, batch) for batch in batches)
    worst = max(
        difference(answer, _logits(loaded, batch)) for answer, batch in zip(answers, batches, strict=True)
    )
    return Verdict(judge, worst, [LOGITS])


def _compare_files(model: Path, export: Path) -> None:
    """The same shape, and bit for bit the same tensors (as float32), read without our loader."""
    ours, theirs = (
        configs.from_config(read_config(folder), str(folder / CONFIG)) for folder in (model, export)
    )
    if ours != theirs:
        raise UserError(f"{export / CONFIG}: describes {theirs}, the model is {ours}; export it again")
    before, after = (_tensors(folder) for folder in (model, export))
    if before.keys() != after.keys():
        raise UserError(
            f"{export / WEIGHTS}: tensors {sorted(before.keys() ^ after.keys())} are not in both; export "
            f"it again"
        )
    for name, value in after.items():
        if not np.array_equal(value, before[name].astype(value.dtype)):
            raise UserError(f"{export / WEIGHTS}: tensor {name} differs from the model's; export it again")


def _tensors(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a model's files; the optimizer's, which lie beside a stage of the transfer, are none."""
    files = sorted(path for path in folder.glob("*.safetensors") if path.name != stage_schedule.FILE)
    return {name: value for path in files for name, value in load_file(path).items()}


def _transformers_answers(export: Path, loaded: Network, batches: list[Batch]) -> Iterator[np.ndarray]:
    import torch
    import transformers

    torch.set_num_threads(tf.config.threading.get_intra_op_parallelism_threads() or torch.get_num_threads())
    transformers.utils.logging.disable_progress_bar()
    kind = getattr(transformers, loaded.architecture)
    judge, loading_info = kind.from_pretrained(
        export, dtype=torch.float64, attn_implementation="eager", output_loading_info=True
    )
    # What is missing would be random there, what is unexpected would be unused.
    if loading_info["missing_keys"] or loading_info["mismatched_keys"] or loading_info["unexpected_keys"]:
        raise UserError(
            f"{export}: transformers' {loaded.architecture} does not open it whole: {loading_info}"
        )
    judge.eval()
    with torch.no_grad():
        for batch in batches:
            answer = judge(**{name: torch.tensor(batch[name], dtype=torch.long) for name in INPUTS})
            if isinstance(loaded.head, SpanHead):
                yield torch.stack([answer.start_logits, answer.end_logits], dim=-1).numpy()
            else:
                yield answer.logits.numpy()


def _logits(loaded: Network, batch: Batch) -> np.ndarray:
    """What transformers' class calls logits: of the head, or of the MLM at every position, (1, S, V)."""
    if loaded.head is not None:
        return loaded.run(batch)
    length = batch["input_ids"].shape[1]
    sequence = loaded.model.encode(
        *(tf.constant(batch[name]) for name in ("input_ids", "token_type_ids", "attention_mask"))
    ).sequence
    return np.asarray(loaded.model.masked_lm_logits(sequence, tf.range(length)[tf.newaxis]))[np.newaxis]
