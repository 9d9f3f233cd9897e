"""The rules of the house that a program can see: sizes, layers, who imports whom, what every rule
declares.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = [
    *("settings", "splitmix", "storage", "dataflow", "smallworld", "text", "tasks", "corpus", "tokenization"),
    *("records", "models", "training", "distillation", "finetuning", "exporting", "reporting", "publishing"),
]
WITHOUT_TENSORFLOW = {
    "storage",
    "dataflow",
    "smallworld",
    "text",
    "tasks",
    "corpus",
    "tokenization",
    "reporting",
    "publishing",
}
BY_HAND = {"describe_model", "list_state"}  # commands that no rule calls
SOURCES = sorted(
    path
    for folder in ("mobilebert", "scripts", "workflow", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
TESTS = [path for path in SOURCES if path.relative_to(ROOT).parts[0] == "tests"]
LIBRARY = [path for path in SOURCES if path.relative_to(ROOT).parts[0] == "mobilebert"]
CLOCKS = {"process_time", "perf_counter", "monotonic", "time.time"}
MOVES = {"remote_checkpoints.py"}  # they move files that were verified apart
OUTSIDE_STORAGE = [path for path in LIBRARY if path.parent.name != "storage" and path.name not in MOVES]
FOLDERS = "docs|tests|benchmarks|mobilebert|scripts|workflow|rules|presets|profiles|envs"
NAMED_FILE = re.compile(rf"[\w./-]+\.md\b|(?<![\w/])(?:{FOLDERS})/[\w./-]+\.\w+")
LIBRARY = sorted((ROOT / "mobilebert").rglob("*.py"))
RULES = "".join(path.read_text("utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_fits_on_a_few_screens_and_a_function_on_one(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno > 80] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_tests_name_has_at_most_80_characters(path: Path) -> None:
    names = re.findall(r"^\s*def (test_\w+)", path.read_text("utf-8"), re.M)
    assert [name for name in names if len(name) > 80] == []


@pytest.mark.parametrize(
    "path",
    [path for path in TESTS if path.name != "killing.py"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_test_judges_by_a_clock(path: Path) -> None:
    """How long anything may take, a wait for a process included, says `timeout` in pyproject.toml alone."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    clocks = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and node.attr in CLOCKS]
    limits = [node.value.lineno for node in nodes if isinstance(node, ast.keyword) and node.arg == "timeout"]
    assert (clocks, limits) == ([], [])


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_library_knows_no_command_line_and_no_environment(path: Path) -> None:
    """`training/accelerators` reads TF_CONFIG and TPU_NAME, which clusters set."""
    names = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    forbidden = {"argparse", "argparse.Namespace", "Namespace", "os.environ", "os.getenv", "environ"}
    allowed = {"os.environ"} if path.name == "accelerators.py" else set()
    assert names & forbidden <= allowed


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_from_above(path: Path) -> None:
    here = path.relative_to(ROOT / "mobilebert").parts[0].removesuffix(".py")
    for module in imported(path):
        parts = module.split(".")
        assert parts[0] not in {"snakemake", "keras", "tf_keras"}, f"{path} imports {module}"
        if here in WITHOUT_TENSORFLOW:
            assert parts[0] != "tensorflow", f"{path} imports {module}"
        if parts[0] == "mobilebert" and len(parts) > 1 and parts[1] in LAYERS and here in LAYERS:
            assert LAYERS.index(parts[1]) <= LAYERS.index(here), (
                f"{here} imports {parts[1]}, which comes after it"
            )


@pytest.mark.parametrize("path", OUTSIDE_STORAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_are_replaced_by_storage_alone(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    methods = [(call, call.func) for call in calls if isinstance(call.func, ast.Attribute)]
    # `Path.replace` has one argument, `str.replace` two; folders may be renamed anywhere.
    by_path = [
        method.lineno
        for call, method in methods
        if method.attr == "replace" and (len(call.args), call.keywords) == (1, [])
    ]
    by_os = [
        method.lineno
        for _, method in methods
        if ast.unparse(method) in {"os.replace", "os.rename", "os.link", "shutil.move"}
    ]
    assert by_path + by_os == [], "storage.atomic writes files whole or not at all"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_a_docstring_names_is_in_a_clone(path: Path) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, documented)]
    named = {name for node in nodes for name in NAMED_FILE.findall(ast.get_docstring(node) or "")}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


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
            missing = [
                word
                for word in ("log:", "benchmark:", "conda:", "threads:", "mem_mb=", "runtime=", "message:")
                if word not in body
            ]
            assert missing == [], f"rule {name}"
            assert f"python -m scripts.{name} " in body, f"rule {name} calls a command of another name"


def test_a_script_for_every_rule_and_a_rule_for_every_script() -> None:
    called = set(re.findall(r"python -m scripts\.(\w+)", RULES))
    there = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {
        "__init__",
        "command",
        "arguments",
        "attempts",
        "lifetime",
        "logs",
    }
    assert called == there - BY_HAND
    assert there >= BY_HAND


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_scripts_are_thin(path: Path) -> None:
    limit = 120 if path.name == "command.py" else 65
    assert path.read_text("utf-8").count("\n") <= limit


VAGUE = {"told", "found", "place", "places", "held", "part", "parts", "piece", "pieces", "form", "forms",
         "wrong", "thing", "things", "carry_out", "given", "asked"}  # fmt: skip


def test_lines_are_at_most_110_wide() -> None:
    """ruff judges each line (E501); here only that it is asked to."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]
    assert ruff["line-length"] == 110
    assert "E" in ruff["lint"]["select"]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_vague_name_is_bound(path: Path) -> None:
    assert sorted(bound(ast.parse(path.read_text("utf-8"))) & VAGUE) == []


def bound(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
    return names
