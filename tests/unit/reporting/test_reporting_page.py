"""The report says what the artifacts say, and nothing of what is not there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mobilebert.reporting import page, plots, tables
from mobilebert.reporting.collect import collect, model_name
from mobilebert.storage import artifacts
from mobilebert.storage.artifacts import ArtifactError

SETTINGS = {"run": "测试", "transfer": {"mean_factor": 5000.0}}


def part(documents: int, size: int) -> dict[str, int]:
    return {"documents": documents, "bytes": size}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A finished run in miniature."""
    source: dict[str, Any] = {
        "in": part(10, 4_000_000),
        "out": part(7, 3_000_000),
        "lines": {"navigation": {"lines": 5, "bytes": 50_000}},
    }
    source |= {
        "reasons": {"mojibake": part(1, 10_000), "too_short": part(2, 1_000)},
        "masked": {"phone": 1234},
        "unreadable": [{"file": "坏.txt", "why": "no encoding fits"}],
    }
    with artifacts.writing(tmp_path / "corpus", "corpus") as corpus:
        rejected = {
            "id": "1",
            "source": "news",
            "reason": "mojibake",
            "text": "锘挎枃<b>瀛楃",
            "detail": "cmrc/dev.json",
        }
        corpus.json("funnel.json", {"sources": {"news": source}, "total": source, "examples": [rejected]})
    with artifacts.writing(
        tmp_path / "teachers" / "small", "model", inputs={"corpus": tmp_path / "corpus"}
    ) as teacher:
        write_model(teacher, 0.431, 1_260_000)
    with artifacts.writing(tmp_path / "students" / "mini" / "transfer" / "layer01", "model") as stage:
        stage.path("metrics.jsonl").write_text('{"step": 1, "loss": 9.5}\n{"step": 2, "loss": 3.25}\n')
    teacher_folder = {"teacher": tmp_path / "teachers" / "small"}
    with artifacts.writing(
        tmp_path / "students" / "mini" / "pretrained", "model", inputs=teacher_folder
    ) as student:
        write_model(student, 0.418, 670_000)
    with artifacts.writing(tmp_path / "students" / "old" / "pretrained", "model") as student:
        write_model(student, 0.111, 670_000)
    (tmp_path / "scores.tsv").write_text(
        "model\ttask\tmetric\tseeds\tmean\tstd\tmajority\texamples\n"
        "mini\tcmrc2018\tf1\t1\t0.4567\t\t0.012\t628\n",
        encoding="utf-8",
    )
    return tmp_path


def write_model(writer: artifacts.Writer, accuracy: float, parameters: int) -> None:
    heldout = {
        "masked_accuracy": accuracy,
        "masked_loss": 3.21,
        "predictions": 9216,
        "unigram_accuracy": 0.055,
    }
    writer.path("evaluation.json").write_text(json.dumps({"heldout": heldout, "parameters": parameters}))
    writer.path("model.safetensors").write_bytes(b"\0" * 2_500_000)


def test_every_figure_of_the_artifacts_stands_on_the_page(results: Path) -> None:
    html = page.render("测试", collect(results), SETTINGS)
    for shown in (
        "0.431",
        "0.418",
        "670,000",
        "2.50",
        "9,216",
        "0.457",
        "0.012",
        "mojibake",
        "坏.txt",
        "no encoding fits",
        "mean_factor",
    ):
        assert shown in html
    assert artifacts.digest(results / "corpus")[:12] in html


def test_text_of_the_corpus_cannot_become_markup(results: Path) -> None:
    assert "<b>" not in page.render("测试", collect(results), SETTINGS)


def test_the_page_needs_no_other_file(results: Path) -> None:
    html = page.render("测试", collect(results), SETTINGS)
    assert "<svg" in html
    assert not re.search(r'(src|href)="(?!#)', re.sub(r"<svg.*?</svg>", "", html, flags=re.S))


def test_models_of_other_settings_are_not_shown(results: Path) -> None:
    """Shown is what the run asked for, and nothing else that lies in its folder."""
    models = [results / "students" / "mini" / "pretrained", results / "teachers" / "small"]
    html = page.render("测试", collect(results, [folder / "manifest.json" for folder in models]), SETTINGS)
    assert "0.418" in html
    assert "0.431" in html
    assert "0.111" not in html
    assert "layer01" not in html
    assert "cmrc2018" not in html


def test_the_corpus_tells_scripts_and_the_largest_groups_of_duplicates(results: Path) -> None:
    path = results / "corpus" / "funnel.json"
    body = json.loads(path.read_text("utf-8"))
    scripts = {"traditional": 3, "simplified": 1200}
    body["sources"]["news"] |= {"scripts": scripts, "simplified": {"documents": 3, "characters": 4567}}
    group = {
        "id": "a.txt#3",
        "source": "news",
        "exact": 1200,
        "near": 5,
        "text": "开头\n<b>",
        "sources": {"web": 1205},
    }
    body["largest_groups"] = [group]
    with artifacts.writing(results / "corpus", "corpus") as corpus:
        corpus.json("funnel.json", body)
    run = collect(results)
    assert tables.scripts(run).rows == [["news", "1,200", "3", "0", "0", "3", "4,567"]]
    assert tables.largest_groups(run).rows == [["news", "a.txt#3", "1,200", "5", "web 1,205", "开头 <b>"]]
    assert "Largest groups of duplicates" in page.render("测试", run, SETTINGS)


def test_the_report_tells_what_a_task_s_files_share(results: Path) -> None:
    with artifacts.writing(results / "tasks" / "cmrc2018", "task") as task:
        task.counts.update({"dev": {"examples": 30, "contexts": 9}, "shared": {"examples": 2, "contexts": 4}})
    run = collect(results)
    assert tables.task_texts(run).rows == [["cmrc2018", "30", "2", "4", "9"]]
    assert "Texts of dev that stand in train too" in page.render("测试", run, SETTINGS)


def test_the_corpus_tells_what_was_masked_and_which_test_file_a_reject_has_text_of(results: Path) -> None:
    run = collect(results)
    assert tables.masked(run).rows == [["news", "phone", "1,234"]]
    assert tables.rejects(run).rows[0][:2] == ["mojibake", "cmrc/dev.json"]
    html = page.render("测试", run, SETTINGS)
    assert "Sensitive data masked" in html
    assert "cmrc/dev.json" in html


def test_a_corpus_of_another_run_is_reported_too(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    with artifacts.writing(
        other / "students" / "mini" / "pretrained", "model", inputs={"corpus": results / "corpus"}
    ) as student:
        write_model(student, 0.2, 7)
    run = collect(
        other,
        [other / "students" / "mini" / "pretrained" / "manifest.json", results / "corpus" / "manifest.json"],
    )
    assert tables.funnel(run).rows[0][1:3] == ["10", "7"]
    assert "elsewhere" not in str(tables.lineage(run).rows)


def test_timings_stand_beside_their_export(tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "exports" / "mini" / "tflite", "export") as export:
        export.path("model.tflite").write_bytes(b"x")
    timing = tmp_path / "latency" / "mini" / "tflite.json"
    artifacts.write_atomically(timing, json.dumps({"median_ms": 1.239}).encode())
    assert tables.exports(collect(tmp_path)).rows[0][-1] == "1.24"


def test_the_page_begins_with_each_students_share_of_its_teacher(results: Path) -> None:
    for model, milliseconds, size in (("teacher-small", 3.0, 4_000_000), ("mini", 1.2, 2_500_000)):
        with artifacts.writing(results / "exports" / model / "tflite", "export") as export:
            export.path("model.tflite").write_bytes(b"x")
        timing = json.dumps({"minimum_ms": milliseconds, "bytes": size}).encode()
        artifacts.write_atomically(results / "latency" / model / "tflite.json", timing)
    run = collect(results)
    summary = tables.summary(run)
    names = ["model", "parameters", "TFLite (MB)", "latency (ms)", "masked-token accuracy", "cmrc2018 f1"]
    assert [column.name for column in summary.columns] == names
    speed = "1.20 (2.5 times as fast)"
    assert summary.rows[0] == ["teacher-small", "1,260,000", "4.00", "3.00", "0.431", ""]
    assert summary.rows[1] == ["mini", "670,000 (53%)", "2.50 (62%)", speed, "0.418 (97%)", "0.457"]
    html = page.render("测试", run, SETTINGS)
    assert html.index(speed) < html.index('<h2 id="models">')


def test_stages_of_the_transfer_are_not_in_the_summary(results: Path) -> None:
    assert [row[0] for row in tables.summary(collect(results)).rows] == ["teacher-small", "mini", "old"]


def test_sections_without_content_are_left_out(tmp_path: Path) -> None:
    html = page.render("empty", collect(tmp_path), SETTINGS)
    assert re.findall(r'<h2 id="(\w+)"', html) == ["settings"]


def test_equal_runs_give_equal_pages(results: Path) -> None:
    assert page.render("a", collect(results), SETTINGS) == page.render("a", collect(results), SETTINGS)


def test_a_damaged_artifact_is_named(results: Path) -> None:
    (results / "students" / "mini" / "pretrained" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: 5 bytes, expected 2500000"):
        collect(results)


def test_reasons_are_ordered_by_documents_with_their_share(results: Path) -> None:
    assert tables.reasons(collect(results)).rows == [
        ["news", "too_short", "2", "0.200", "0.00"],
        ["news", "mojibake", "1", "0.100", "0.01"],
    ]


def test_lineage_names_the_input(results: Path) -> None:
    rows = {row[0]: row[4] for row in tables.lineage(collect(results)).rows}
    assert rows["teachers/small"].startswith("corpus corpus ")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("teachers/small", "teacher-small"),
        ("students/mini/transfer/layer01", "mini-layer01"),
        ("students/mini-tables/pretrained", "mini-tables"),
    ],
)
def test_models_are_named_as_the_workflow_names_them(place: str, name: str) -> None:
    assert model_name(place) == name


def test_a_quantity_that_no_curve_has_gives_no_plot() -> None:
    assert plots.curves({"a": [{"step": 1, "loss": 2.0}]}, "accuracy", ylabel="") == ""
    assert "<svg" in plots.curves({"a": [{"step": 1, "loss": 2.0}]}, "loss", ylabel="")


def test_what_was_measured_on_held_out_data_stands_beside_the_curves(results: Path) -> None:
    rows = [
        {"step": 1, "loss": 2.0},
        {"step": 1, "heldout_loss": 2.5, "heldout_masked_accuracy": 0.1},
        {"step": 2, "loss": 1.0},
    ]
    rows.append({"step": 2, "heldout_loss": 2.25, "heldout_masked_accuracy": 0.2})
    with artifacts.writing(results / "students" / "big" / "pretrained", "model") as student:
        write_model(student, 0.3, 7)
        student.path("metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = page.render("测试", collect(results), SETTINGS)
    assert "big, held out" in html
    assert "masked-token accuracy, held out" in html
    assert "layer01, held out" not in html, "the stage has no such measures"
