"""A model directory as a function from padded ids to what an export gives: hidden states, or a task head's
logits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mobilebert import tokenization
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import weights
from mobilebert.models.checkpoints.tensor_files import CONFIG, read_config
from mobilebert.models.heads import ClassificationHead, SpanHead
from mobilebert.models.model import Model
from mobilebert.storage import artifacts

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # transformers' names
HIDDEN, LOGITS = "last_hidden_state", "logits"
TASK_CLASSES = ("ForSequenceClassification", "ForQuestionAnswering")
Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """A model with its tokenizer, and with its task's head if it was finetuned (`labels`: names of its
    classes).
    """

    model: Model
    tokenizer: tokenization.Tokenizer
    head: ClassificationHead | SpanHead | None = None
    labels: list[str] | None = None

    @property
    def output(self) -> str:
        """Name of what it gives: `last_hidden_state` (B, S, H), or `logits`, (B, labels) or (B, S, 2) for
        start and end.
        """
        return HIDDEN if self.head is None else LOGITS

    @property
    def architecture(self) -> str:
        """transformers' class for it."""
        return str(self.model.config.architecture("MaskedLM" if self.head is None else self.head.task))

    def __call__(
        self, input_ids: tf.Tensor, attention_mask: tf.Tensor, token_type_ids: tf.Tensor
    ) -> tf.Tensor:
        """The output for (B, S) int32 inputs; the mask is 1 for tokens and 0 for padding."""
        sequence = self.model.encode(input_ids, token_type_ids, attention_mask).sequence
        return sequence if self.head is None else self.head(sequence)

    def run(self, batch: Batch) -> np.ndarray:
        """The output for NumPy inputs by name."""
        return np.asarray(self(**{name: tf.constant(batch[name]) for name in INPUTS}))


def load(folder: Path | str, dtype: str = "float32") -> Network:
    """Read a model directory that is verified against its manifest; computes in `dtype`.

    Raises:
        UserError: damaged, of a kind that has no export, or with another vocabulary than its tokenizer.
    """
    folder = Path(folder)
    artifacts.read(folder)
    config = read_config(folder)
    model = weights.load(folder, compute_dtype=dtype, variable_dtype=dtype)
    model.shares_layers = False  # TFLite's converter wants one flat graph
    tokenizer = tokenization.load(folder)
    if tokenizer.size != model.config.vocab_size:
        raise UserError(
            f"{folder}: its tokenizer has {tokenizer.size} entries, {CONFIG} says vocab_size "
            f"{model.config.vocab_size}"
        )
    architecture = str((config.get("architectures") or ["ForMaskedLM"])[0])
    if architecture.endswith(TASK_CLASSES):
        names = config.get("id2label")
        labels = [names[str(number)] for number in range(len(names))] if names else None
        return Network(model, tokenizer, weights.load_head(folder, variable_dtype=dtype), labels)
    if model.fresh_head:
        raise UserError(
            f"{folder}: holds neither an MLM head nor a task's head; there would be random weights in the "
            "export"
        )
    return Network(model, tokenizer)


def facts(network: Network) -> dict[str, Any]:
    """What a card says of a model."""
    config = network.model.config
    head = network.head.variables_by_name.values() if network.head is not None else ()
    mlm = (
        [network.model.variables_by_name[name] for name in network.model.head_names]
        if network.head is not None
        else ()
    )
    parameters = (
        network.model.parameters
        - sum(int(tf.size(value)) for value in mlm)
        + sum(int(tf.size(value)) for value in head)
    )
    return {
        "architecture": network.architecture,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "vocabulary_size": config.vocab_size,
        "parameters": parameters,
    }


def prepare(threads: int) -> None:
    """Set TensorFlow up for comparing: the CPU (a GPU's float32 may be TF32), so many threads, and no chatter
    of its converter.

    Device and threads stay what they are in a process where TensorFlow has started already.
    """
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return
