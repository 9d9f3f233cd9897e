"""What is wrong with the values of a model's configuration, all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

# The two forms of GELU differ by 1e-3 over twelve layers: erf is transformers' "gelu", tanh is TF1's "gelu".
GELU_ERF = ("gelu", "gelu_python")
GELU_TANH = ("gelu_new", "gelu_pytorch_tanh")
ACTIVATIONS = ("relu", "relu6", *GELU_ERF, *GELU_TANH)
NORMALIZATIONS = ("no_norm", "layer_norm")
CHOICES = {"hidden_act": ACTIVATIONS, "normalization_type": NORMALIZATIONS}
TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
NEAR = 0.9  # likeness from which an unknown key is taken for a misspelt one


def faults(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, str]:
    """A line for each value that cannot be, by its key.

    Args:
        values: of a configuration.
        types: of all fields, by their annotation: int, float, bool or str.
    """
    lines = {name: _fault(name, values[name], kind) for name, kind in types.items() if name in values}
    return {name: line for name, line in lines.items() if line}


def misspelt(config: Collection[str], known: Collection[str]) -> Iterator[str]:
    """A line for each key that is nearly one of the known ones, which is absent: its default would stand in
    silently.
    """
    absent = [key for key in known if key not in config]
    for key in config:
        if key not in known and (near := difflib.get_close_matches(key, absent, n=1, cutoff=NEAR)):
            yield f"{key}: no such key; did you mean {near[0]}?"


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a field's type."""
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, bool if kind == "bool" else str)


def _fault(name: str, value: Any, kind: str) -> str:
    if not fits(value, kind):
        return f"{name}: {value!r} is not of the expected type, {TYPES[kind]}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"{name}: '{value}' is unknown; known: {', '.join(CHOICES[name])}"
    if kind == "int" and name != "pad_token_id" and value < 1:
        return f"{name}: {value}, at least 1 is expected"
    if name.endswith(("_prob", "_dropout")) and not 0 <= value < 1:
        return f"{name}: {value}, expected 0 to less than 1"
    return ""
