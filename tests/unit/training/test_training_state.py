"""Checkpoints and state folders: whole or not used, never another's, never two users."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Optimization
from mobilebert.storage import artifacts
from mobilebert.training.state import workspace

PRINT = "12" * 32
TENSORS = {
    "variables/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "variables/empty": np.zeros((0, 4), np.float32),
    "step_like": np.float64(0.1),
}


def saved(root: Path, steps: list[int], fingerprint: str = PRINT) -> Path:
    """A folder with a checkpoint and a line of metrics for each of the steps."""
    with workspace.open_state(root, "job", fingerprint) as work:
        work.restore()
        for step in steps:
            work.add_metrics({"step": step, "loss": 1.0 / step})
            work.save(step, {name: value + step for name, value in TENSORS.items()})
        return work.folder


def damage(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 1
    path.write_bytes(data)


def restored_step(root: Path, fingerprint: str = PRINT) -> int:
    with workspace.open_state(root, "job", fingerprint) as work:
        found = work.restore()
    return found.step if found else 0


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved(tmp_path, [4])
    with workspace.open_state(tmp_path, "job", PRINT) as work:
        found = work.restore()
    assert found is not None
    assert found.step == 4
    assert found.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[name], value + 4)
        assert found.tensors[name].dtype == value.dtype


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5, 10, 15, 100])
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "step-0000000015.safetensors",
        "step-0000000100.safetensors",
    ]


@pytest.mark.parametrize("where", [0.001, 0.3, 0.999], ids=["header length", "header", "data"])
def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: float
) -> None:
    newest = max(saved(tmp_path, [5, 10]).glob("*.safetensors"))
    damage(newest, where)
    with caplog.at_level(logging.WARNING):
        assert restored_step(tmp_path) == 5
    assert newest.name in caplog.text


def test_a_truncated_newest_checkpoint_is_skipped(tmp_path: Path) -> None:
    newest = max(saved(tmp_path, [5, 10]).glob("*.safetensors"))
    os.truncate(newest, newest.stat().st_size - 7)
    assert restored_step(tmp_path) == 5


def test_with_all_damaged_the_work_starts_anew(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5, 10])
    for path in folder.glob("*.safetensors"):
        damage(path, 0.999)
    assert restored_step(tmp_path) == 0
    assert (folder / "metrics.jsonl").read_bytes() == b""


def test_a_checkpoint_that_cannot_be_read_for_a_moment_is_not_removed(tmp_path: Path) -> None:
    newest = max(saved(tmp_path, [5, 10]).glob("*.safetensors"))
    away = newest.rename(tmp_path / "away")
    newest.symlink_to(newest)  # the system's error, and for root too: a circle of links
    with pytest.raises(
        PassingError,
        match=rf"{newest.name}: cannot be read now .*symbolic links.*; nothing was removed: run again",
    ):
        restored_step(tmp_path)
    away.replace(newest)
    assert restored_step(tmp_path) == 10


def test_a_file_of_somebody_else_is_no_checkpoint(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5, 10])
    (folder / "step-of-somebody.safetensors").touch()
    assert restored_step(tmp_path) == 10
    with workspace.open_state(tmp_path, "job", PRINT) as work:
        work.save(15, TENSORS)
    assert sorted(path.name[:15] for path in folder.glob("step-*")) == [
        "step-0000000010",
        "step-0000000015",
        "step-of-somebod",
    ]


def test_a_half_written_checkpoint_is_not_used_and_goes(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5])
    (folder / ".step-0000000010.safetensors.0f.partial").write_bytes(b"half")
    assert restored_step(tmp_path) == 5
    assert not list(folder.glob(".*.partial"))


def test_a_checkpoint_for_which_there_is_no_room_is_said_and_the_one_before_stays(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5])
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with workspace.open_state(tmp_path, "job", PRINT) as work:
        work.restore()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most[1]))
        try:
            with pytest.raises(
                PassingError, match=r"step-0000000010.safetensors: cannot be written .* make room"
            ):
                work.save(10, {"variables/a": np.zeros(100_000, np.float32)})
            with pytest.raises(PassingError, match=r"metrics.jsonl: cannot be written .* make room"):
                work.add_metrics({"step": 10, "told": "x" * 20_000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert not list(folder.glob(".*.partial"))
    assert restored_step(tmp_path) == 5


def test_metrics_after_the_checkpoint_are_cut_off(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5, 10])
    whole = (folder / "metrics.jsonl").read_bytes()
    with (folder / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"step": 15}\n{"st')
    assert restored_step(tmp_path) == 10
    assert (folder / "metrics.jsonl").read_bytes() == whole


def test_a_checkpoint_whose_metrics_are_lost_is_not_used(tmp_path: Path) -> None:
    folder = saved(tmp_path, [5, 10])
    first_line = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)[0]
    (folder / "metrics.jsonl").write_bytes(first_line)
    assert restored_step(tmp_path) == 5


def test_a_checkpoint_of_other_work_is_never_used_even_in_the_same_folder(tmp_path: Path) -> None:
    saved(tmp_path, [5])
    assert restored_step(tmp_path, PRINT[:12] + "0" * 52) == 0


def test_another_fingerprint_has_another_folder(tmp_path: Path) -> None:
    first = saved(tmp_path, [5])
    assert first.name == f"job-{PRINT[:12]}"
    assert restored_step(tmp_path, "34" * 32) == 0
    assert restored_step(tmp_path) == 5


def test_checkpoints_that_are_not_gone_on_from_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        first = saved(tmp_path, [5])
        for name, fingerprint in (("job", PRINT), ("job-2", "34" * 32), ("jo", "34" * 32)):
            with workspace.open_state(tmp_path, name, fingerprint):
                pass
        assert not caplog.records, "it is gone on from, or is other work"
        assert restored_step(tmp_path, "34" * 32) == 0
        assert restored_step(tmp_path, "34" * 32) == 0
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"{first}: not gone on from")


def test_the_fingerprint_follows_command_settings_and_inputs_but_not_key_order(tmp_path: Path) -> None:
    for name, text in (("one", "1"), ("two", "2"), ("same", "1")):
        with artifacts.writing(tmp_path / name, "corpus") as writer:
            writer.path("text").write_text(text)

    def of(
        command: str = "train", steps: int = 5, records: str = "one", device: str = "CPU", **more: int
    ) -> str:
        settings = {"training": Optimization(steps=steps), "seed": 3, **more}
        return workspace.fingerprint(
            command, settings, {"records": tmp_path / records}, {"device": device, "devices": 1}
        )

    settings, environment = {"seed": 3, "training": Optimization(steps=5)}, {"devices": 1, "device": "CPU"}
    assert (
        of()
        == of(records="same")
        == workspace.fingerprint("train", settings, {"records": tmp_path / "one"}, environment)
    )
    assert (
        len({of(), of(command="other"), of(steps=6), of(records="two"), of(extra=1), of(device="GPU")}) == 6
    )
    with pytest.raises(UserError, match="absent"):
        of(records="absent")


def test_a_second_user_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match=f"process {os.getpid()} ")
    with workspace.open_state(tmp_path, "job", PRINT), refused, workspace.open_state(tmp_path, "job", PRINT):
        pass
    with workspace.open_state(tmp_path, "job", PRINT):
        pass


def test_finished_work_leaves_nothing_and_unfinished_work_stays(tmp_path: Path) -> None:
    saved(tmp_path, [5])
    with workspace.open_state(tmp_path, "job", PRINT) as work:
        work.finish()
    assert list(tmp_path.iterdir()) == []


def test_work_that_was_killed_while_its_state_was_removed_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, [5, 10])

    def killed(path: Path, ignore_errors: bool = False) -> None:
        if path.exists():
            max(path.glob("*.safetensors")).unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, workspace.open_state(tmp_path, "job", PRINT) as work:
        patched.setattr(workspace.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            work.finish()
    assert [path.name for path in tmp_path.iterdir()] == [f".job-{PRINT[:12]}.removed"]
    assert restored_step(tmp_path) == 5, "the newest was gone, the one before it was not"
    with workspace.open_state(tmp_path, "job", PRINT) as work:
        work.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_would_leave_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="state folder"), workspace.open_state(tmp_path, "../job", PRINT):
        pass
