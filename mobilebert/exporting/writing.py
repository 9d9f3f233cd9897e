"""Write an export: the transformers directory checked and rewritten, a TFLite file that is run before it
counts, a TF1 checkpoint.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.exporting import network, tflite
from mobilebert.exporting.network import LOGITS, Network
from mobilebert.exporting.probes import probes
from mobilebert.models.checkpoints import tf1, weights
from mobilebert.models.checkpoints.tensor_files import CONFIG, WEIGHTS
from mobilebert.models.heads import SpanHead
from mobilebert.models.numerics import difference
from mobilebert.settings import Export
from mobilebert.storage import artifacts
from mobilebert.storage.artifacts import Writer
from mobilebert.tokenization.files import VOCABULARY

SIGNATURE_FILE = "signature.json"
SHAPING = {"sequence_length", "tolerance"}  # settings of each export
PROBE_SEED = 0  # the check takes another one


def export(model: Path, export_format: str, settings: Export, out: Path) -> None:
    """Export a model directory.

    Args:
        model: the model artifact.
        export_format: "transformers", "tflite" or "tf1".
        settings: length of the TFLite input, tolerance.
        out: the export artifact; its counts hold what a card says of the model.

    Raises:
        UserError: the model is damaged, cannot be expressed, or its export computes something else.
    """
    loaded = network.load(model)
    shaping = {"format": export_format, "export": settings.model_dump(mode="json", include=SHAPING)}
    with artifacts.writing(
        out, "export", settings=shaping, inputs={"model": model}, versions=weights.versions()
    ) as writer:
        writer.counts = (
            network.facts(loaded)
            | {"output": loaded.output, "pad": loaded.tokenizer.pad}
            | _evaluation(model)
        )
        if export_format == "tflite":
            _write_tflite(loaded, settings, writer)
        elif export_format == "tf1":
            tf1.write(writer.folder, loaded.model, loaded.head)
        else:
            _write_transformers(loaded, model, writer)
        tokenization.copy_files(model, writer)
        if export_format == "tf1" and not (writer.folder / VOCABULARY).is_file():
            logging.warning(
                "%s: its tokenizer has no %s, which is the only one that the original code knows",
                out,
                VOCABULARY,
            )


def _write_transformers(loaded: Network, model: Path, writer: Writer) -> None:
    """config.json, model.safetensors and the tokenizer, without what training left beside them; read again
    and compared.
    """
    weights.save(writer, loaded.model, loaded.head, loaded.labels)
    again = weights.load(writer.folder)
    pairs = [
        (
            loaded.model.variables_by_name,
            again.variables_by_name,
            set(loaded.model.head_names) if loaded.head is not None else set(),
        )
    ]
    if loaded.head is not None:
        pairs.append(
            (loaded.head.variables_by_name, weights.load_head(writer.folder).variables_by_name, set())
        )
    for written, read, absent in pairs:
        for name in written.keys() - absent:
            if not np.array_equal(written[name].numpy(), read[name].numpy()):
                raise UserError(
                    f"{writer.folder / WEIGHTS}: {name} reads back differently; is the disk full or "
                    f"damaged? (model: {model})"
                )
    logging.info("wrote %s and %s", writer.folder / CONFIG, writer.folder / WEIGHTS)


def _write_tflite(loaded: Network, settings: Export, writer: Writer) -> None:
    length = settings.sequence_length
    path = writer.path(tflite.FILE)
    path.write_bytes(tflite.convert(loaded, length))
    writer.counts["sequence_length"] = length
    runner = tflite.Runner(path)
    foreign = [name for name in runner.operations if name.startswith("Flex")]
    if foreign:
        raise UserError(f"{path}: needs operations that LiteRT does not bring itself: {', '.join(foreign)}")
    worst = max(
        difference(runner.run(batch)[loaded.output], loaded.run(batch))
        for batch in probes(loaded.tokenizer, length, PROBE_SEED)
    )
    refuse_beyond(settings.tolerance, worst, str(path))
    body = signature(loaded, runner)
    writer.json(SIGNATURE_FILE, body)
    logging.info(
        "%s: %.1f MB, largest relative difference from the model %.1e", path, path.stat().st_size / 1e6, worst
    )


def refuse_beyond(tolerance: float, worst: float, what: str) -> None:
    """Raise a UserError if the difference is over the tolerance (or not a number)."""
    if not worst <= tolerance:
        raise UserError(
            f"{what}: differs from the model by {worst:.2e} of its largest value, more than "
            f"export.tolerance {tolerance:.1e}; "
            "the model may be numerically unstable (compare its held-out accuracy), or raise the tolerance "
            "knowingly"
        )


def signature(loaded: Network, runner: tflite.Runner) -> dict[str, Any]:
    """What a program needs to know to run the TFLite file."""
    meanings = {
        "input_ids": "[CLS] text [SEP], or [CLS] first [SEP] second [SEP], then [PAD]",
        "attention_mask": "1 for tokens, 0 for padding",
        "token_type_ids": "0; 1 from the second text on, its [SEP] included; 0 for padding",
    }
    tokenizer = loaded.tokenizer
    output: dict[str, Any] = runner.outputs[loaded.output] | {"meaning": _output_meaning(loaded)}
    if loaded.labels is not None:
        output["labels"] = loaded.labels
    return {
        "format": 1,
        "signature": tflite.SIGNATURE,
        "inputs": {name: runner.inputs[name] | {"meaning": meaning} for name, meaning in meanings.items()},
        "outputs": {loaded.output: output},
        "vocabulary": {
            "size": tokenizer.size,
            "lowercase": tokenizer.lowercase,
            "strip_accents": getattr(tokenizer, "strip_accents", False),  # learned vocabularies keep them
            "digest": tokenizer.digest,
            "special": {name: getattr(tokenizer, name) for name in ("pad", "unk", "cls", "sep", "mask")},
        },
    }


def _output_meaning(loaded: Network) -> str:
    if loaded.output != LOGITS:
        return "the last layer's vector of each token; those of padding mean nothing"
    return (
        "start and end logits of the answer at each token"
        if isinstance(loaded.head, SpanHead)
        else "a logit for each class"
    )


def _evaluation(model: Path) -> dict[str, Any]:
    """The evaluation that lies beside a pretrained model, for the card."""
    path = model / "evaluation.json"
    return {"evaluation": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
