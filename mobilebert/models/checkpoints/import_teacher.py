"""Bring in a teacher from outside: check a transformers directory or a TF1 checkpoint, and write it as an
artifact of ours.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import padded_tables, tensor_files, tf1, tf1_files, weights
from mobilebert.storage import artifacts
from mobilebert.tokenization import files
from mobilebert.tokenization import importing as tokenizers
from mobilebert.tokenization.source_files import Casing

SHAPING = (
    "*.safetensors",
    "*.bin",
    "*.json",
    "*.txt",
    "*.model",
)  # files of a directory whose digests are recorded
KINDS = {"tf1": "TF1 checkpoint", "transformers": "transformers directory"}
NO_HEAD = (
    "no MLM head (cls/predictions) is there, and students learn from it; use a checkpoint that kept it (of "
    "a ...ForMaskedLM or "
    "...ForPreTraining), or let one be trained on the records, body frozen (teacher.retrain_head: true)"
)


def import_teacher(
    source: Path,
    out: Path,
    *,
    kind: str | None = None,
    without_head: bool = False,
    lowercase: Casing = "auto",
) -> None:
    """Read a teacher, check it, and write it with its tokenizer to `out`.

    Args:
        source: a transformers directory, or the folder or prefix of a TF1 checkpoint.
        out: the model artifact.
        kind: which of `KINDS` it should be; None takes what is there.
        without_head: whether it may lack its MLM head; a random one is written then.
        lowercase: `vocabulary.lowercase`; "auto" follows the source's own files.

    Raises:
        UserError: of another kind, damaged, without MLM head, or with another vocabulary than its tokenizer.
    """
    source_kind = kind_of(source)
    if kind not in (None, source_kind):
        raise UserError(
            f"teacher.kind: {kind}, but {source} holds a {KINDS[source_kind]}; set it to {source_kind}"
        )
    model, shaping = _from_tf1(source) if source_kind == "tf1" else _from_directory(source)
    if model.fresh_head and not without_head:
        raise UserError(f"{source}: {NO_HEAD}")
    tokenizer = tokenizers.find(source, lowercase)
    digests = {path.name: artifacts.sha256(path) for path in shaping}
    settings = {
        "teacher.kind": kind,
        "teacher.retrain_head": without_head,
        "vocabulary.lowercase": lowercase,
    }
    with artifacts.writing(
        out, "model", settings=settings | {"files": digests}, versions=("safetensors",)
    ) as writer:
        model = padded_tables.fitted(model, files.write(writer, *tokenizer).size, source)
        weights.save(writer, model)
        writer.counts = {"parameters": model.parameters, "layers": model.config.num_hidden_layers}
    logging.info(
        "imported a %s of %d layers, %s parameters",
        *(model.config.class_prefix, model.config.num_hidden_layers, f"{model.parameters:,}"),
    )


def kind_of(source: Path) -> str:
    """Which of `KINDS` lies there; a transformers directory may hold other forms beside its own.

    Raises:
        UserError: neither.
    """
    if any((source / name).is_file() for name in tensor_files.FILES):
        return "transformers"
    if tf1_files.is_there(source):
        return "tf1"
    if any((source / name).is_file() for name in (tensor_files.CONFIG, tensor_files.ADAPTER)):
        return "transformers"  # without weights: reading it says so
    inner = sorted({path.parent.name for name in tensor_files.FILES for path in source.glob(f"*/{name}")})
    hint = f"; in it lie {', '.join(inner)}: name one of them" if inner else ""
    raise UserError(
        f"{source}: neither a transformers directory (config.json, model.safetensors or pytorch_model.bin, "
        f"tokenizer files) nor a TF1 checkpoint; {tf1_files.EXPECTED}{hint}"
    )


def _from_directory(source: Path) -> tuple[Any, list[Path]]:
    """The model of a transformers directory, and the files that shaped it."""
    if artifacts.exists(source):
        artifacts.read(source)
    shaping = sorted(
        {path for pattern in SHAPING for path in source.glob(pattern) if path.name != artifacts.MANIFEST}
    )
    return weights.load(source), shaping


def _from_tf1(source: Path) -> tuple[Any, list[Path]]:
    """The model of a TF1 checkpoint, and the files that shaped it."""
    checkpoint = tf1_files.find(source)
    return tf1.read(*checkpoint), checkpoint.files
