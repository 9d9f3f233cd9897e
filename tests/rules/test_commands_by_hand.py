"""Commands by hand: without --settings, with some of them, with wrong ones; a line for each mistake."""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys
from pathlib import Path

import pytest

from mobilebert.settings import Settings, sections_of
from mobilebert.storage import artifacts
from scripts import command

COMMANDS = {
    "check_export": ["--model", "absent", "--export", "absent", "--format", "tflite"],
    "clean_corpus": ["--sources", "absent"],
    "collect_scores": ["--scores", "absent"],
    "export_model": ["--model", "absent", "--format", "transformers"],
    "export_records": ["--records", "absent"],
    "export_teacher": ["--source", "absent", "--records", "absent", "--tokenizer", "absent"],
    "fetch_source": [],
    "finetune_task": ["--task", "cmrc2018", "--repeat", "0", "--model", "absent", "--data", "absent"],
    "import_records": ["--source", "absent", "--tokenizer", "absent"],
    "import_student": ["--checkpoint", "absent"],
    "import_teacher": ["--source", "absent"],
    "import_vocabulary": ["--source", "absent"],
    "learn_vocabulary": ["--corpus", "absent"],
    "list_sources": [],
    "make_small_world": ["--settings", "{}", "--threads", "1"],
    "measure_latency": ["--export", "absent", "--format", "transformers"],
    "prepare_task": ["--task", "cmrc2018"],
    "pretrain_student": ["--student", "mini", "--records", "absent", "--tokenizer", "absent"],
    "pretrain_teacher": ["--records", "absent", "--tokenizer", "absent"],
    "publish_model": ["--name", "m", "--exports", "absent", "--checks", "absent"],
    "retrain_head": ["--source", "absent", "--records", "absent", "--tokenizer", "absent"],
    "score_task": ["--task", "cmrc2018", "--repeat", "0", "--name", "m", "--model", "absent",
                   "--data", "absent"],
    "transfer_layer": ["--student", "mini", "--stage", "joint", "--records", "absent",
                       "--tokenizer", "absent", "--teacher", "absent"],
    "verify_published": ["--name", "m", "--record", "absent"],
    "write_records": ["--corpus", "absent", "--tokenizer", "absent"],
    "write_report": ["--results", "absent"],
}  # fmt: skip
TRAIN = {"finetune_task", "pretrain_student", "pretrain_teacher", "retrain_head", "transfer_layer"}
WITHOUT_SETTINGS = {"collect_scores", "import_student", "write_report"}
NOT_FOR_RULES = {"describe_model", "list_state"}  # they take no --settings


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Start a command in this process, in an empty folder; gives exit code and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "die_with_parent", lambda: None)
    monkeypatch.setattr(command, "log_to", lambda path: None)

    def started(name: str, *arguments: str, out: str = "out") -> tuple[int, list[str]]:
        state = ["--state", "state"] if name in TRAIN else []
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "_exit", sys.exit)
            patch.setattr(sys, "argv", [name, "--out", out, *state, *arguments])
            with pytest.raises(SystemExit) as left:
                runpy.run_module(f"scripts.{name}", run_name="__main__")
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert [record for record in errors if record.exc_info] == []
        return int(left.value.code or 0), [record.getMessage() for record in errors]

    return started


def test_every_command_is_tried(root: Path) -> None:
    scripts = [path for path in (root / "scripts").glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert {path.stem for path in scripts} == COMMANDS.keys() | NOT_FOR_RULES


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"make_small_world"}))
def test_without_settings_and_inputs_a_command_names_what_is_not_there(start, name: str) -> None:
    code, lines = start(name, *COMMANDS[name])
    assert (code, len(lines)) == (1, 1)
    assert "absent" in lines[0] or "small world" in lines[0].replace("_", " ")
    assert "\n" not in lines[0]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_SETTINGS))
def test_a_wrong_setting_is_named_in_a_line(start, name: str) -> None:
    code, lines = start(name, *COMMANDS[name], "--settings", '{"seed": "many"}')
    assert (code, lines) == (1, ["settings: seed: found 'many': a whole number is expected"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{bad", "settings: not JSON (Expecting property name"),
        ("[1]", "settings: a JSON object is expected"),
        ('{"exprot": {}}', "settings: exprot: no such setting; did you mean export?"),
        ('{"export.sequnce_length": 5}', "settings: export.sequnce_length: no such setting; did you mean"),
        ('{"seed": 2, "seed.x": 1}', "settings: seed.x: seed is no section"),
        ('{"shapes": {"mine": "a.json"}}', "settings: shapes: names with the content of their files"),
        ('{"seed": "many", "publish.to": "gs://桶/x"}', "settings: seed: found 'many': a whole number is expected; publish.to: "),  # noqa: E501
    ],
)  # fmt: skip
def test_what_are_no_settings_is_refused(start, text: str, line: str) -> None:
    code, lines = start("pretrain_student", *COMMANDS["pretrain_student"], "--settings", text)
    assert code == 1
    assert lines[0].startswith(line)


def test_settings_left_out_are_the_defaults_and_some_go_over_them(start, tmp_path: Path) -> None:
    some = json.dumps({"small_world.megabytes": 0.05, "small_world": {"questions": 20, "reviews": 20}})
    assert start("make_small_world", "--settings", some, "--threads", "1", out="world") == (0, [])
    expected = sections_of(Settings(), "small_world", "seed")
    expected["small_world"] |= {"questions": 20, "reviews": 20, "megabytes": 0.05}
    assert artifacts.read(tmp_path / "world").settings == expected
    assert start("list_sources", "--world", "world", out="sources") == (0, [])
    assert start("prepare_task", "--task", "chnsenticorp", "--world", "world", out="task") == (0, [])
    assert start("clean_corpus", "--sources", "sources", "--threads", "1", out="corpus") == (0, [])
    cleaned = artifacts.read(tmp_path / "corpus").settings["corpus"]
    assert cleaned.items() >= {"min_characters": 30, "near_duplicate_similarity": 0.7}.items()


def test_wrong_settings_of_beam_are_named(start, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = start("clean_corpus", "--sources", "absent", "--beam", '{"beam": {"runner": "fink"}}')
    assert (code, lines) == (2, [])
    assert "--beam: settings: beam.runner: found 'fink'" in capsys.readouterr().err
