"""The rules of the house that a program can see: sizes, layers, who imports whom, what every rule declares."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["settings", "locks", "splitmix", "artifacts", "storage", "pipelines", "smallworld", "text", "tasks", "corpus", "tokenization",
          "records", "models", "training", "distillation", "finetuning", "exporting", "reporting", "publishing"]  # fmt: skip
WITHOUT_TENSORFLOW = {"storage", "pipelines", "smallworld", "text", "tasks", "corpus", "tokenization", "reporting", "publishing"}
BY_HAND = {"describe_model", "list_state"}  # commands that no rule calls
SOURCES = sorted(path for folder in ("mobilebert", "scripts", "workflow", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
RULES = "".join(path.read_text("utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_fits_on_a_few_screens_and_a_function_on_one(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno > 80] == []


@pytest.mark.parametrize("path", sorted((ROOT / "mobilebert").rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_from_above(path: Path) -> None:
    here = path.relative_to(ROOT / "mobilebert").parts[0].removesuffix(".py")
    for module in imported(path):
        parts = module.split(".")
        assert parts[0] not in {"snakemake", "keras", "tf_keras"}, f"{path} imports {module}"
        if here in WITHOUT_TENSORFLOW:
            assert parts[0] != "tensorflow", f"{path} imports {module}"
        if parts[0] == "mobilebert" and len(parts) > 1 and parts[1] in LAYERS and here in LAYERS:
            assert LAYERS.index(parts[1]) <= LAYERS.index(here), f"{here} imports {parts[1]}, which comes after it"


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def test_the_snakefile_is_a_table_of_contents() -> None:
    assert (ROOT / "Snakefile").read_text("utf-8").count("\n") <= 70
    assert not re.search(r"^\s*(def |run:)", RULES, re.M)


def test_every_rule_that_works_says_all_it_should() -> None:
    bodies = re.split(r"^ *rule (\w+):\n", RULES, flags=re.M)[1:]
    for name, body in zip(bodies[::2], bodies[1::2], strict=True):
        if "shell:" in body:
            missing = [word for word in ("log:", "benchmark:", "conda:", "threads:", "mem_mb=", "runtime=", "message:") if word not in body]
            assert missing == [], f"rule {name}"
            assert f"python -m scripts.{name} " in body, f"rule {name} calls a command of another name"


def test_a_script_for_every_rule_and_a_rule_for_every_script() -> None:
    called = set(re.findall(r"python -m scripts\.(\w+)", RULES))
    there = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"__init__", "command", "attempts", "lifetime"}
    assert called == there - BY_HAND
    assert there >= BY_HAND


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_scripts_are_thin(path: Path) -> None:
    limit = 120 if path.name == "command.py" else 65
    assert path.read_text("utf-8").count("\n") <= limit
