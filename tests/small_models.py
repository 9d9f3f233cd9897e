"""Small model directories, as the training stages write them: what the tests of exporting export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from mobilebert.exporting.probes import SENTENCES
from mobilebert.models import build, configs, heads
from mobilebert.models.checkpoints import weights
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files


def make_model(folder: Path, *, labels: int | None = None, span: bool = False, seed: int = 3) -> Path:
    """A MobileBERT of 2 layers with weights large enough that every input matters, and its by-products."""
    characters = sorted(
        {character for sentence in SENTENCES for character in sentence.lower() if not character.isspace()}
    )
    vocabulary = [
        *SPECIAL,
        *characters,
        *(f"##{character}" for character in "0123456789abcdefghijklmnopqrstuvwxyz"),
    ]
    config = configs.MobileBertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        embedding_size=16,
        intra_bottleneck_size=16,
        key_query_shared_bottleneck=True,
        num_feedforward_networks=2,
        max_position_embeddings=64,
    )
    model = build(config, seed)
    for number, variable in enumerate(model.variables_by_name.values()):
        noise = np.random.default_rng(number).normal(0, 0.15, variable.shape)
        variable.assign_add(noise.astype(np.float32))
    head = (
        heads.for_classification(config, labels, seed)
        if labels
        else heads.SpanHead(32, seed)
        if span
        else None
    )
    with artifacts.writing(folder, "model") as writer:
        files.write(writer, "wordpiece", ("\n".join(vocabulary) + "\n").encode(), True)
        weights.save(writer, model, head, [f"class {number}" for number in range(labels)] if labels else None)
        writer.path("metrics.jsonl").write_text('{"step": 1}\n')
        save_file(
            {"first_moments/a": np.zeros(2, np.float32)}, writer.path("optimizer.safetensors")
        )  # as beside a transfer's stage
        if head is None:
            heldout = {
                "masked_accuracy": 0.5,
                "masked_loss": 2.0,
                "predictions": 100,
                "unigram_accuracy": 0.1,
            }
            writer.path("evaluation.json").write_text(
                json.dumps({"heldout": heldout, "parameters": model.parameters})
            )
    return folder
