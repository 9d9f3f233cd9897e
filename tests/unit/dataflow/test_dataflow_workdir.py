"""A killed run: no half artifact, and what it finished is not done again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import toy_file_system

from mobilebert.corpus import cleaning
from mobilebert.dataflow import workdir
from mobilebert.errors import PassingError, UserError
from mobilebert.records import pipeline
from mobilebert.settings import Beam
from mobilebert.storage import artifacts, paths
from mobilebert.storage.locks import locked

DYING = """
import os, signal
from mobilebert.{room} import {module} as module
real = module.{function}
def dying(first, second, *rest):
    if first.number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(first, second, *rest)
module.{function} = dying
"""
CLEAN = """
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.settings import Corpus
from pathlib import Path
settings = Corpus(block_megabytes=0.005, max_paragraph_documents=50)
clean_corpus(Path({0!r}), Path({1!r}) / "corpus", settings, 1)
"""
WRITE = """
from mobilebert.records import writer
from mobilebert.settings import Records
from pathlib import Path
module.BLOCK_BYTES = 4000
settings = Records(sequence_length=32, heldout_share=0.1, shards=3)
writer.write(Path({1!r}) / "corpus", Path({0!r}), Path({1!r}) / "records", settings, 20, 1)
"""


def killed(code: str, root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def test_a_killed_run_leaves_no_artifact_and_is_gone_on_with(
    both,
    expected,
    sources: Path,
    tokenizer: Path,
    tmp_path: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    cleaned: list[int] = []
    encoded: list[int] = []

    def count(original: Any, calls: list[int]) -> Any:
        def counting(numbered: Any, *rest: Any) -> Any:
            calls.append(numbered.number)
            return original(numbered, *rest)

        return counting

    killed(
        DYING.format(room="corpus", module="cleaning", function="clean_element")
        + CLEAN.format(str(sources), str(made)),
        root,
    )
    assert not artifacts.exists(made / "corpus")
    monkeypatch.setattr(cleaning, "_clean", count(cleaning._clean, cleaned))
    files = both(made)
    assert min(cleaned) == 5
    assert files == expected

    artifacts.remove(made / "records")
    dying = DYING.format(room="records", module="pipeline", function="_encode")
    killed(dying + WRITE.format(str(tokenizer), str(made)), root)
    assert not artifacts.exists(made / "records")
    monkeypatch.setattr(pipeline, "_encode", count(pipeline._encode, encoded))
    assert both(made) == expected
    assert min(encoded) == 5


def test_a_run_that_dies_while_its_artifact_is_put_together_is_gone_on_with(
    both, expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are in the artifact already, and go with it; the work folder must still have them."""

    whole = artifacts._describe
    for stage in ("corpus", "records"):

        def dying(path: Path, stage: str = stage) -> dict[str, Any]:
            if path.parent.name == stage:
                raise RuntimeError("killed")
            return whole(path)

        with monkeypatch.context() as patch:
            patch.setattr(artifacts, "_describe", dying)
            with pytest.raises(RuntimeError, match="killed"):
                both(tmp_path / "made")
        assert not artifacts.exists(tmp_path / "made" / stage)
    assert both(tmp_path / "made") == expected


def test_a_users_error_in_a_block_of_records_arrives_and_its_work_goes(
    both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("the dictionary does not fit")

    monkeypatch.setattr(pipeline, "_encode", refuse)
    with pytest.raises(UserError, match="the dictionary does not fit"):
        both(tmp_path)
    assert not list(tmp_path.glob("*.work"))


def test_going_on_needs_no_folder(tmp_path: Path) -> None:
    """Other work removed it, and was killed before it left its own mark."""
    with suppress(RuntimeError), workdir.folder(tmp_path / "out", Beam(), "a" * 64) as folder:
        raise RuntimeError("killed")
    Path(folder).rmdir()
    with workdir.folder(tmp_path / "out", Beam(), "a" * 64) as folder:
        paths.write(paths.join(folder, "x"), b"x")


@pytest.mark.parametrize("address", ["toy://place/", ""])
def test_a_half_sent_file_is_sent_anew(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toy_file_system.FOLDER, str(tmp_path / "toy"))
    (tmp_path / "toy").mkdir()
    (tmp_path / "whole").write_bytes(b"0123456789")
    place = paths.join(address or str(tmp_path / "toy"), "sent")
    paths.write(place, b"01234")  # what a killed run left where files show before they are whole
    paths.send(tmp_path / "whole", place)
    assert paths.read(place) == b"0123456789"
    monkeypatch.setattr(paths, "writing", None)
    paths.send(tmp_path / "whole", place)  # is there


def test_other_work_begins_anew_and_one_process_works_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "corpus"

    def leave(fingerprint: str) -> tuple[str, bool]:
        with suppress(RuntimeError), workdir.folder(out, Beam(), fingerprint) as folder:
            there = paths.exists(paths.join(folder, "half"))
            paths.write(paths.join(folder, "half"), b"x")
            raise RuntimeError("killed")
        return folder, there

    first, _ = leave("a" * 64)
    assert leave("a" * 64) == (first, True)
    other, there = leave("b" * 64)
    assert not there
    assert not Path(first).exists()
    with pytest.raises(PassingError, match="pass"), workdir.folder(out, Beam(), "b" * 64) as kept:
        raise PassingError("what may pass by itself is gone on with")
    assert Path(kept).is_dir()
    with pytest.raises(UserError, match="mend"), workdir.folder(out, Beam(), "b" * 64):
        raise UserError("only other settings mend this")
    assert not Path(other).parent.exists()
    with (
        locked(tmp_path / "corpus.work"),
        pytest.raises(UserError, match="is at this work already"),
        workdir.folder(out, Beam(), "b" * 64),
    ):
        pass


def test_a_changed_setting_or_input_is_other_work(tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "in", "sources"):
        pass
    before = workdir.fingerprint({"x": 1}, {"sources": tmp_path / "in"}, ("numpy",))
    assert before == workdir.fingerprint({"x": 1}, {"sources": tmp_path / "in"}, ("numpy",))
    assert before != workdir.fingerprint({"x": 2}, {"sources": tmp_path / "in"}, ("numpy",))
    with artifacts.writing(tmp_path / "in", "sources", settings={"other": 1}):
        pass
    assert before != workdir.fingerprint({"x": 1}, {"sources": tmp_path / "in"}, ("numpy",))


def test_a_file_that_fails_halfway_is_not_there(tmp_path: Path) -> None:
    with suppress(RuntimeError), paths.writing(str(tmp_path / "x")) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
