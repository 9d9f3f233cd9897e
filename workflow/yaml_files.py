"""What a settings file in YAML may get wrong before any setting is looked at: its encoding, its signs, keys
that stand twice, aliases that unfold without end.

Snakemake reads a --configfile before it reads the Snakefile, so of those only the last two are refused here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

MOST_VALUES = 100_000  # that aliases may unfold to; config.yaml has 300


def readable(file: str) -> str:
    """The name of a settings file that Snakemake can read.

    Raises:
        WorkflowError: it is no UTF-8 or no YAML; with the line.
    """
    if Path(file).is_file():
        _compose(Path(file))
    return file


def faults(file: Path) -> list[str]:
    """A line for every key that stands twice in the same mapping (YAML keeps the last silently).

    Raises:
        WorkflowError: as `readable`, or its aliases unfold to more than anybody writes.
    """
    if file.suffix == ".json" or not file.is_file():
        return []
    root = _compose(file)
    if root is not None and _unfolded(root, {}) > MOST_VALUES:
        raise WorkflowError(
            f"{file}: its aliases (*name) unfold to over {MOST_VALUES:,} values, or stand inside what they "
            f"name; write the values out"
        )
    return [
        f"{file}:{line}: '{key}' stands twice; the first one would be lost, so remove one"
        for key, line in _repeated(root, set())
    ]


def _compose(file: Path) -> yaml.Node | None:
    data = file.read_bytes()
    try:
        return yaml.compose(data.decode("utf-8-sig"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorkflowError(f"{file} is not UTF-8 (line {line}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        number = mark.line + 1 if mark else 1
        raise WorkflowError(f"{file}:{number}: {error.problem}{_advice(data, number)}") from None
    except yaml.YAMLError as error:  # a character that YAML does not know
        raise WorkflowError(f"{file}: {' '.join(str(error).split())}") from None


def _advice(data: bytes, number: int) -> str:
    """What to do about the line where YAML stumbled, or the one above it."""
    lines = data.decode("utf-8-sig").splitlines()[max(0, number - 2) : number]
    if any("\t" in line for line in lines):
        return "; write spaces there, not tabs"
    if any("：" in line for line in lines):
        return "; ： is a full-width colon, write `:` and a space"
    return ""


def _unfolded(node: yaml.Node, sizes: dict[int, float]) -> float:
    """The number of values that a node stands for, aliases unfolded; infinite for one inside itself.

    Args:
        node: to count.
        sizes: of nodes counted before, by identity: each is visited once.
    """
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # while its own values are counted
        sizes[id(node)] = 1 + sum(_unfolded(inner, sizes) for inner in _inner(node))
    return sizes[id(node)]


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _repeated(node: yaml.Node | None, visited: set[int]) -> Iterable[tuple[str, int]]:
    """Keys that stand twice, with their line; an alias stands for what was visited."""
    if node is None or id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                yield name, key.start_mark.line + 1
            seen.add(name)
    for inner in _inner(node):
        yield from _repeated(inner, visited)
