"""`scripts.transfer_layer` with `transfer.same_batches`: what is kept of the teacher saves time and changes no bit."""

from __future__ import annotations

import json
import shutil

import pytest

from mobilebert.storage import artifacts
from scripts import transfer_layer

SAME = {"same_batches": True, "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "weight_decay": 0.1}}


def stage(chain, command, folder, name, *previous, **changed):
    """Run a stage; the files that are kept of the teacher afterwards."""
    told = chain.settings(
        "recipe", "transfer", "student", "masking", "training", "seed", **{"transfer": SAME | changed.pop("transfer", {}), **changed}
    )
    inputs = ["--records", chain.records, "--tokenizer", chain.tokenizer, "--teacher", chain.teacher]
    names = ["--student", "mini", "--stage", name, "--previous", *previous]
    command(transfer_layer, "--settings", told, *inputs, *names, "--state", folder / "state", "--out", folder / name)
    return sorted(str(path.relative_to(folder / "state")) for path in (folder / "state").rglob("layer*/*"))


def weights(folder):
    return artifacts.read(folder, "model").files["model.safetensors"]


@pytest.fixture(scope="module")
def first(chain, tmp_path_factory):
    """The first stage, and the folder of what it kept."""

    def call(script, *arguments):
        script.main(script.parser().parse_args([str(argument) for argument in (*arguments, "--threads", 2)]))

    folder = tmp_path_factory.mktemp("first")
    kept = stage(chain, call, folder, "layer01")
    assert [path.partition("/")[2] for path in kept] == [f"layer01/{step:010d}" for step in range(4)]
    (states,) = (folder / "state").glob("teacher_states-mini-*")
    told = json.loads((states / "work.json").read_text())
    assert told["command"] == "transfer_layer"
    assert set(told["inputs"]) == {"records", "teacher"}
    return folder


def second(chain, command, first, folder, *, state=True, **changed):
    """The second stage, with or without what the first one kept; the files that it kept, and the digest of its weights."""
    if state:
        shutil.copytree(first / "state", folder / "state")
    kept = stage(chain, command, folder, "layer02", first / "layer01", first / "layer01" / "manifest.json", **changed)
    return [path.partition("/")[2] for path in kept], weights(folder / "layer02")


def test_a_stage_gives_the_same_bits_with_what_was_kept_and_without(chain, command, first, tmp_path, monkeypatch):
    (tmp_path / "with").mkdir()
    kept, found = second(chain, command, first, tmp_path / "with")
    assert kept == [f"layer02/{step:010d}" for step in range(4)]  # and nothing of the first stage
    (tmp_path / "without").mkdir()
    assert second(chain, command, first, tmp_path / "without", state=False) == (kept, found)
    monkeypatch.setenv("MOBILEBERT_TEACHER_STATES_GB", "0")
    (tmp_path / "no room").mkdir()
    assert second(chain, command, first, tmp_path / "no room", state=False) == ([], found)


def test_states_of_other_batches_are_not_read(chain, command, first, tmp_path):
    kept, _ = second(chain, command, first, tmp_path, transfer={"training": {**SAME["training"], "batch_size": 2}})
    assert sorted(kept) == [f"layer{layer:02d}/{step:010d}" for layer in (1, 2) for step in range(4)]
    assert len({path.name for path in (tmp_path / "state").glob("teacher_states-*")}) == 2


def test_the_last_stage_leaves_nothing(chain, command, first, tmp_path):
    shutil.copytree(first / "state", tmp_path / "state")
    assert stage(chain, command, tmp_path, "layer04", first / "layer01", first / "layer01" / "manifest.json") == []
    assert list((tmp_path / "state").iterdir()) == []


def test_the_published_statistics_need_the_whole_teacher_in_each_step(chain, command, tmp_path, caplog):
    caplog.set_level("INFO")
    assert stage(chain, command, tmp_path, "layer01", transfer={"losses": "published"}) == []
    assert "compares all layers of the teacher at once" in caplog.text
    assert list((tmp_path / "state").iterdir()) == []
