"""The corpus through the real rules and commands: a fetched source, and a folder with a hostile name."""

from __future__ import annotations

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.loopback_gcs import LoopbackGcs, Stored
from tests.workflow.conftest import clone, planned, snakemake
from workflow.inputs.students import StudentInputs
from workflow.settings import load

SENTENCE = "清晨的河面上飘着薄雾，渔民划着小船去收昨夜撒下的网，第{number}只白鹭站在岸边的石头上一动不动。"


class Quiet(SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def write(path: Path, first: int) -> None:
    rows = [
        {"text": "".join(SENTENCE.format(number=first + row * 100 + part) for part in range(8))}
        for row in range(5)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A clone under a path with a quote and a space, with text in a folder of such a name."""
    made = clone(root, tmp_path / "it's here" / "文 本")
    for number, name in enumerate(
        ["甲.jsonl", "line\nend.jsonl", "[x]* `ls`.jsonl", '"q" {y}; $(ls).jsonl', "-rf #.jsonl"]
    ):
        write(made / "raw {x} 'a' $HOME" / name, number * 1000)
    write(tmp_path / "served" / "b.jsonl", 10_000)
    return made


def test_fetched_and_oddly_named_sources_reach_the_corpus(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sources = [
        {"name": "odd", "from": "raw {x} 'a' $HOME"},
        {"name": "web", "from": f"http://127.0.0.1:{server.server_address[1]}/b.jsonl", "licence": "A"},
        {"name": "bucket", "from": "gs://bucket/text/**"},
    ]
    settings = {"sources": sources, "corpus": {"near_duplicates": False, "max_repeated_share": 1}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    write(tmp_path / "object.jsonl", 20_000)
    with LoopbackGcs("bucket") as gcs:
        gcs.buckets["bucket"]["text/深/c.jsonl"] = Stored((tmp_path / "object.jsonl").read_bytes(), 1)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address)
        try:
            snakemake(folder, "--profile", "profiles/local", "--configfile", "mine.yaml", "--", "corpus")
        finally:
            server.shutdown()
    funnel = json.loads((folder / "results" / "demo" / "corpus" / "funnel.json").read_text("utf-8"))
    assert {name: part["out"]["documents"] for name, part in funnel["sources"].items()} == {
        "bucket": 5,
        "odd": 25,
        "web": 5,
    }

    sources[1]["licence"] = "B"  # for the card; nothing is fetched anew
    (folder / "mine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert "fetch_source" not in planned(folder, "corpus", "--configfile", "mine.yaml")


def test_a_given_student_is_an_input_of_its_pretraining_but_not_of_a_baselines(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    students = StudentInputs(load({"student": {"from": "own"}, "transfer": {"schedule": "none"}}, []))
    assert students.initial_student(SimpleNamespace(model="mini")) == ["own"]
    assert students.initial_student(SimpleNamespace(model="mini-tables")) == []
    assert "start=INPUTS.students.initial_student" in (root / "rules" / "distill.smk").read_text("utf-8")


MATCH = {"teacher_layer": 4, "student_layer": 2, "feature": "hidden", "loss": "feature_map"}


@pytest.mark.parametrize(
    ("transfer", "stages"),
    [
        ({"schedule": "joint"}, ["joint"]),
        ({"schedule": "auxiliary"}, []),
        ({"schedule": "progressive", "layer_map": "uniform"}, ["layer01", "layer02", "layer03", "layer04"]),
        (
            {"schedule": "progressive", "matches": [MATCH, MATCH | {"student_layer": 4}]},
            ["layer02", "layer04"],
        ),
    ],
)
def test_schedule_and_matches_decide_on_the_stages(transfer: dict[str, object], stages: list[str]) -> None:
    students = StudentInputs(load({"transfer": transfer}, []))
    assert students.stages("mini") == stages
    told = {
        model: json.loads(students.pretraining_settings(SimpleNamespace(model=model)))
        for model in ("mini", "mini-tables")
    }
    assert ("transfer" in told["mini"]) == (transfer.get("schedule") == "auxiliary")
    assert "transfer" not in told["mini-tables"]
    assert told["mini"]["recipe"] == "ours"


@pytest.mark.parametrize("absent", [{}, {"schedule": None}, {"schedule": "null"}])
@pytest.mark.parametrize(
    ("recipe", "schedule"), [("ours", "joint"), ("chinese", "progressive"), ("google", "progressive")]
)
def test_a_schedule_that_is_not_told_is_the_recipes(
    recipe: str, schedule: str, absent: dict[str, object]
) -> None:
    loaded = load({"recipe": recipe, "transfer": absent | {"mean_factor": 7}}, [])
    assert (loaded.transfer.schedule, loaded.transfer.mean_factor) == (schedule, 7)
    assert load({"recipe": recipe, "transfer": {"schedule": "none"}}, []).transfer.schedule == "none"
    told = json.loads(StudentInputs(loaded).transfer_settings(SimpleNamespace(student="mini")))
    assert told["transfer"]["schedule"] == schedule, "another schedule makes other jobs, with other settings"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/demo/exports/foo/tflite/manifest.json", "no model is called foo"),
        ("results/demo/exports/mini-layer09/tflite/manifest.json", "no model is called mini-layer09"),
        (
            "results/demo/students/mini/transfer/joint/manifest.json",
            "transfer.schedule 'progressive' has no stage joint",
        ),
        ("results/demo/tasks/xnli/manifest.json", "xnli"),
    ],
)
def test_unknown_names_are_refused_readably(copied: Path, target: str, said: str) -> None:
    done = snakemake(copied, "--profile", "tpu", "-n", target, check=False)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    for ours in ("KeyError", "AttributeError", "ValueError"):
        assert ours not in done.stdout + done.stderr


def test_a_stage_is_exported_by_its_name(copied: Path) -> None:
    jobs = planned(copied, "results/demo/exports/mini-layer02/tflite/manifest.json")
    assert jobs["transfer_layer"] == 2
    assert jobs["export_model"] == 1
