"""Models: shapes by name, BERT and MobileBERT as plain `tf.Module`s, heads, weights in transformers' form
both ways.

`models.configs` and `models.parameters` import no TensorFlow (the workflow asks them for layer counts); the
rest is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mobilebert.models import configs, parameters

if TYPE_CHECKING:
    from mobilebert.models import heads
    from mobilebert.models.checkpoints import weights
    from mobilebert.models.model import Encoded, Model, build

__all__ = ["Encoded", "Model", "build", "configs", "heads", "parameters", "weights"]


def __getattr__(name: str) -> Any:
    if name == "heads":
        return importlib.import_module("mobilebert.models.heads")
    if name == "weights":
        return importlib.import_module("mobilebert.models.checkpoints.weights")
    if name in ("Encoded", "Model", "build"):
        return getattr(importlib.import_module("mobilebert.models.model"), name)
    raise AttributeError(f"module 'mobilebert.models' has no attribute '{name}'")
