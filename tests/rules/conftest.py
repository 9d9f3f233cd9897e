"""A tiny chain of artifacts for the rule tests: corpus, tokenizer, records, a teacher and a student with
random weights.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clauses import CLAUSES


@dataclass(frozen=True)
class Chain:
    """Folders of artifacts; settings as the rules pass them."""

    folder: Path
    corpus: Path
    tokenizer: Path
    records: Path
    teacher: Path
    student: Path

    @property
    def data(self) -> tuple[str | Path, ...]:
        """The arguments that name the records and their tokenizer."""
        return ("--records", self.records, "--tokenizer", self.tokenizer)

    def settings(self, *sections: str, **changed: Any) -> str:
        """The named sections as JSON, small, with changes as `section={...}`."""
        from mobilebert.settings import Settings, to_json

        training = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3}
        body: dict[str, Any] = {
            "masking": {"max_predictions": 5},
            "records": {"sequence_length": 32},
            "training": {"accelerator": "cpu", "steps_per_call": 2},
            "teacher": {"training": training, "head_training": training},
            "transfer": {"training": training},
            "pretraining": {"training": training},
        }
        for name, change in changed.items():
            body[name] = {**body.get(name, {}), **change} if isinstance(change, dict) else change
        return to_json(Settings.model_validate(body), *sections)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The chain, made once; tests only read it."""
    folder = tmp_path_factory.mktemp("chain")
    made = Chain(
        folder, *(folder / name for name in ("corpus", "tokenizer", "records", "teacher", "student"))
    )
    _write_corpus(made.corpus)
    _write_tokenizer(made)
    _write_records(made)
    _write_model(made, made.teacher, "mini-teacher", 1)
    _write_model(made, made.student, "mini", 2)
    return made


@pytest.fixture
def command() -> Callable[..., None]:
    """Run a command in this process, without its log and its watch over its parent: `command(script,
    "--out", folder, ...)`.
    """

    def call(script: Any, *arguments: Any) -> None:
        script.main(script.parser().parse_args([str(argument) for argument in (*arguments, "--threads", 2)]))

    return call


@pytest.fixture
def program(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as its own process, as a rule does: `program("list_sources", "--out", folder, ...)`."""

    def call(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", f"scripts.{name}", *map(str, arguments)]
        return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """In place of every training: note (state folder's name, step to go on from), leave a checkpoint at
    step 3, and be interrupted.
    """
    import numpy as np

    from mobilebert.training import loop

    calls: list[tuple[str, int]] = []

    def interrupted(job: Any, accelerator: Any, workspace: Any, *_: Any) -> None:
        checkpoint = workspace.restore()
        calls.append((workspace.folder.name, checkpoint.step if checkpoint else 0))
        workspace.save(3, {"weight": np.ones(2, np.float32)}, accelerator.threads)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", interrupted)
    return calls


@pytest.fixture
def another(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of an artifact whose manifest tells of other settings, so that it is another artifact."""
    import shutil

    from mobilebert.storage import artifacts

    def copy(source: Path) -> Path:
        manifest = artifacts.read(source)
        folder = tmp_path / f"another-{source.name}"
        with artifacts.writing(folder, manifest.kind, settings={"another": True}) as writer:
            for name in manifest.files:
                shutil.copyfile(source / name, writer.path(name))
        return folder

    return copy


def _write_corpus(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mobilebert.storage import artifacts

    chance = random.Random(5)
    texts = ["".join(f"{'，'.join(chance.sample(CLAUSES, 3))}。" for _ in range(12)) for _ in range(60)]
    table = pa.table(
        {"id": [f"d{n}" for n in range(len(texts))], "source": ["made"] * len(texts), "text": texts}
    )
    with artifacts.writing(folder, "corpus") as writer:
        pq.write_table(table, writer.path("part-00000.parquet"))


def _write_tokenizer(chain: Chain) -> None:
    from mobilebert.storage import artifacts
    from mobilebert.tokenization import SPECIAL, files

    tokens = [*SPECIAL, *sorted(set("".join(CLAUSES) + "，。"))]
    with artifacts.writing(chain.tokenizer, "tokenizer") as writer:
        files.write(writer, "wordpiece", ("\n".join(tokens) + "\n").encode(), True)


def _write_records(chain: Chain) -> None:
    from scripts import write_records

    settings = chain.settings("records", "seed", records={"heldout_share": 0.2, "shards": 2})
    arguments = [
        "--settings",
        settings,
        "--corpus",
        chain.corpus,
        "--tokenizer",
        chain.tokenizer,
        "--out",
        chain.records,
    ]
    write_records.main(write_records.parser().parse_args([str(argument) for argument in arguments]))


def _write_model(chain: Chain, folder: Path, name: str, seed: int) -> None:
    from mobilebert import models, tokenization
    from mobilebert.storage import artifacts

    config = models.configs.named(name, tokenization.load(chain.tokenizer).size)
    with artifacts.writing(folder, "model") as writer:
        models.weights.save(writer, models.build(config, seed))
        tokenization.copy_files(chain.tokenizer, writer)
