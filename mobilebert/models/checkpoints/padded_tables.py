"""Word tables with rows that no entry of the vocabulary belongs to: cut off where they are a padding."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from mobilebert.errors import UserError
from mobilebert.models import parameters
from mobilebert.models.model import Model

# Trainings pad the table to a multiple that suits their hardware: 8 in NVIDIA's BERT, 64 in many scripts of
# transformers (pad_to_multiple_of), 128 times the devices of tensor parallelism in Megatron-LM.
SMALLEST_MULTIPLE, LARGEST_MULTIPLE = 8, 1024


def is_padding(entries: int, rows: int) -> bool:
    """Whether `rows` is the next multiple of a power of two (8 to 1024) above `entries`."""
    multiple = min(rows & -rows, LARGEST_MULTIPLE)  # the largest power of two that divides it
    return multiple >= SMALLEST_MULTIPLE and 0 < rows - entries < multiple


def fitted(model: Model, entries: int, source: Path) -> Model:
    """The model with as many rows in its word table and MLM head as the tokenizer has entries.

    The rows that go belong to no entry, so no text loses anything.

    Args:
        model: as it was read.
        entries: of its tokenizer.
        source: its folder or file, for messages.

    Raises:
        UserError: fewer rows than entries, or more than padding explains.
    """
    rows = model.config.vocab_size
    if entries == rows:
        return model
    if not is_padding(entries, rows):
        raise UserError(
            f"{source}: its tokenizer has {entries} entries, its configuration says vocab_size {rows}; they "
            f"must be equal, or the table padded to the next multiple of {SMALLEST_MULTIPLE}, 16, 32, ... "
            f"{LARGEST_MULTIPLE}; is the vocabulary whole, and this model's?"
        )
    config = dataclasses.replace(model.config, vocab_size=entries)
    values = {
        name: model.variables_by_name[name].numpy()[tuple(map(slice, tensor.shape))]
        for name, tensor in parameters.specification(config).items()
    }
    made = Model(
        config,
        values,
        compute_dtype=model.compute_dtype.name,
        variable_dtype=next(iter(model.variables_by_name.values())).dtype.name,
    )
    made.carried, made.fresh_head = model.carried, model.fresh_head
    logging.warning(
        "%s: the table has %d rows and the tokenizer %d entries: the %d rows of padding are cut off",
        *(source, rows, entries, rows - entries),
    )
    return made
