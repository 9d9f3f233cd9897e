"""Bring in a teacher from outside: check a transformers directory and write it again as an artefact of ours."""

from __future__ import annotations

import logging
from pathlib import Path

from mobilebert import artifacts
from mobilebert.errors import UserError
from mobilebert.models import weights
from mobilebert.models.checkpoints import CONFIG
from mobilebert.tokenization import files
from mobilebert.tokenization import importing as tokenizers

SHAPING = ("*.safetensors", "*.json", "*.txt", "*.model")  # files of the source whose digests are recorded


def import_teacher(source: Path, out: Path) -> None:
    """Read the teacher of a transformers directory, check it, and write it with its tokenizer to `out`.

    Raises:
        UserError: not a BERT or MobileBERT, damaged, without MLM head, or with another vocabulary than its tokenizer.
    """
    if artifacts.exists(source):
        artifacts.read(source)
    model = weights.load(source)
    if model.fresh_head:
        raise UserError(
            f"{source}: holds no MLM head (cls.predictions.*), so it cannot say which token is masked; name a directory written by "
            "a ...ForMaskedLM or ...ForPreTraining"
        )
    shape = model.shape
    found = tokenizers.find(source)
    with artifacts.writing(out, "model", settings={"source": _digests(source)}, versions=("safetensors",)) as writer:
        entries = files.write(writer, *found).size
        if entries != shape.vocab_size:
            raise UserError(
                f"{source}: its tokenizer has {entries} entries, {CONFIG} says vocab_size {shape.vocab_size}; they must be equal"
            )
        weights.save(writer, model)
        writer.counts = {"parameters": model.parameters, "layers": shape.num_hidden_layers}
    logging.info("imported a %s of %d layers, %s parameters", shape.class_prefix, shape.num_hidden_layers, f"{model.parameters:,}")


def _digests(source: Path) -> dict[str, str]:
    """SHA-256 of the source's files: lineage without naming a path."""
    found = sorted({path for pattern in SHAPING for path in source.glob(pattern) if path.name != artifacts.MANIFEST})
    return {path.name: artifacts.sha256(path) for path in found}
