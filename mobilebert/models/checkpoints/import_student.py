"""Bring in a student from outside: an original Chinese MobileBERT checkpoint, stripped and written as an
artifact of ours.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.models.checkpoints import padded_tables, tf1, tf1_files, weights
from mobilebert.storage import artifacts
from mobilebert.tokenization import files
from mobilebert.tokenization import importing as tokenizers
from mobilebert.tokenization.source_files import Casing


def import_student(
    checkpoint: Path,
    config: Path | None,
    vocabulary: Path | None,
    out: Path,
    *,
    lowercase: Casing = "auto",
) -> None:
    """Read a TF1 checkpoint and write it with its tokenizer to `out`, without the teacher and the optimizer
    that lie in it.

    Args:
        checkpoint: the checkpoint's prefix; or, without `config`, its folder (`tf1_files.find`).
        config: its configuration, `student_base_f2.json`; None takes the one beside it.
        vocabulary: its vocab.txt; None takes the one beside it.
        out: the model artifact.
        lowercase: `vocabulary.lowercase`; "auto" follows the vocabulary itself.

    Raises:
        UserError: not whole, weights that do not fit the configuration, or a vocabulary of another size.
    """
    if config is None:
        checkpoint, config = tf1_files.find(checkpoint)
    vocabulary = vocabulary or checkpoint.parent / files.VOCABULARY
    tokenizer = tokenizers.find(vocabulary, lowercase)
    model = tf1.read(checkpoint, config)
    before = tf1.describe(checkpoint)
    if model.fresh_head:
        raise UserError(
            f"{checkpoint}: holds no MLM head (cls/predictions); is it a finetuned model? A pretrained "
            f"one "
            f"is expected"
        )
    digests = {path.name: artifacts.sha256(path) for path in (*before.files, config, vocabulary)}
    settings = {"vocabulary.lowercase": lowercase, "files": digests}
    with artifacts.writing(out, "model", settings=settings, versions=weights.versions()) as writer:
        model = padded_tables.fitted(model, files.write(writer, *tokenizer).size, vocabulary)
        weights.save(writer, model)
        writer.counts = {"parameters": model.parameters, "layers": model.config.num_hidden_layers}
        after = sum(path.stat().st_size for path in writer.folder.glob("*.safetensors"))
    logging.info("%s: %.1f MB before, %.1f MB after", out, before.bytes_on_disk / 1e6, after / 1e6)
