"""What a person can mend about where Beam runs ends in one line, not in Beam's own pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilebert.dataflow import running, workdir
from mobilebert.dataflow.stages import Stage
from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Beam

STAGES = [Stage("One", lambda _: [0], lambda number: number)]


def _refuse(folder: Path, number: int) -> int:
    raise UserError("a.txt: cannot be read")


def test_an_option_that_beam_does_not_take_is_named(tmp_path, capfd):
    where = Beam(pipeline_options=["--direct_num_workers=many"])
    with pytest.raises(UserError, match=r"beam\.pipeline_options: argument --direct_num_workers: invalid"):
        running.run("x", STAGES, str(tmp_path), where)
    assert "usage" not in capfd.readouterr().err


def test_a_job_server_that_does_not_answer_is_named(tmp_path):
    server = ["--job_endpoint=localhost:1", "--job_server_timeout=1", "--environment_type=LOOPBACK"]
    with pytest.raises(PassingError, match=r"no job server answers .*localhost:1"):
        running.run("x", STAGES, str(tmp_path), Beam(runner="portable", pipeline_options=server))


def test_a_users_mistake_on_the_portable_runner_is_one_line(tmp_path):
    stages = [Stage("One", lambda _: [0], lambda number: _refuse(tmp_path, number))]
    server = ["--job_endpoint=embed", "--environment_type=LOOPBACK"]
    with pytest.raises(UserError, match=r"^a\.txt: cannot be read$"):
        running.run("x", stages, str(tmp_path), Beam(runner="portable", pipeline_options=server))


def test_a_work_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"file.*: no folder .* can be made there .*beam\.work"),
        workdir.folder(tmp_path / "out", Beam(work=str(tmp_path / "file")), "a" * 64),
    ):
        pass
