"""What is shipped to workers elsewhere: a wheel with all that the pipelines import and read, and a list of
what it needs.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ENTRIES = ("corpus/pipeline.py", "records/pipeline.py")
# Distributions whose modules have other names.
MODULES = {
    "apache-beam": "apache_beam",
    "google-crc32c": "google_crc32c",
    "markdown-it-py": "markdown_it",
    "pyyaml": "yaml",
}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy by its own pyproject.toml."""
    copy = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    shutil.copytree(root / "mobilebert", copy / "mobilebert", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, "dist"], cwd=copy, check=True, capture_output=True)
    return next((copy / "dist").glob("*.whl"))


def imported(path: Path) -> set[str]:
    """Dotted names that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reached(package: Path) -> tuple[set[Path], set[str]]:
    """The modules of ours that the pipelines import, and the top names of all others."""
    todo = [package / entry for entry in ENTRIES]
    ours: set[Path] = set()
    others: set[str] = set()
    while todo:
        path = todo.pop()
        if path in ours:
            continue
        ours.add(path)
        for name in imported(path):
            if not name.startswith("mobilebert."):
                others.add(name.split(".")[0])
                continue
            stem = package.joinpath(*name.split(".")[1:])
            todo += [found for found in (stem.with_suffix(".py"), stem / "__init__.py") if found.is_file()]
    return ours, others - sys.stdlib_module_names - {"mobilebert"}


def test_the_wheel_holds_every_module_and_table_of_the_pipelines(root: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours, _ = reached(root / "mobilebert")
    assert len(ours) > 30
    assert {path.relative_to(root).as_posix() for path in ours} <= names
    tables = {path.relative_to(root).as_posix() for path in (root / "mobilebert").rglob("*.txt")}
    assert tables
    assert tables <= names


def test_the_workers_image_installs_what_the_pipelines_import_and_no_tensorflow(root: Path) -> None:
    _, others = reached(root / "mobilebert")
    text = (root / "envs" / "worker.Dockerfile").read_text("utf-8")
    listed = set(
        re.search(r"pip install .*?--constraint requirements.lock((?:\s+\\\n|\s+[\w.-]+)+)", text)[1]
        .replace("\\", "")
        .split()
    )
    there = {MODULES.get(name, name.replace("-", "_")) for name in listed}
    assert "tensorflow" not in others
    # Cloud Storage is read by Beam's own file system; google is a namespace. Beam brings grpc.
    assert others - there - {"google", "grpc"} == set()
