"""Models: shapes by name, BERT and MobileBERT as plain `tf.Module`s, heads, weights in transformers' form both ways.

`models.shapes` and `models.tensors` import no TensorFlow (the workflow asks them for layer counts); the rest is loaded when
it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mobilebert.models import shapes, tensors

if TYPE_CHECKING:
    from mobilebert.models import heads, weights
    from mobilebert.models.model import Encoded, Model, build

__all__ = ["Encoded", "Model", "build", "heads", "shapes", "tensors", "weights"]


def __getattr__(name: str) -> Any:
    if name in ("heads", "weights"):
        return importlib.import_module(f"mobilebert.models.{name}")
    if name in ("Encoded", "Model", "build"):
        return getattr(importlib.import_module("mobilebert.models.model"), name)
    raise AttributeError(f"module 'mobilebert.models' has no attribute '{name}'")
