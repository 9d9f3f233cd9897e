"""What a change reruns, on the real graph: its own stage and what follows, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import change, planned

CORPUS = {"clean_corpus", "learn_vocabulary", "write_records"}
TEACHER = {"pretrain_teacher", "export_teacher"}
TRANSFER = {"transfer_layer"}
STUDENT = {"pretrain_student"}
FINETUNE = {"finetune_task", "score_task", "collect_scores"}
EXPORT = {"export_model", "check_export", "measure_latency"}
PUBLISH = {"publish_model", "verify_published"}
REPORT = {"write_report", "all"}
AFTER_STUDENT = FINETUNE | EXPORT | PUBLISH | REPORT

CHANGES = [
    (["corpus", "min_characters"], 61, CORPUS | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (["teacher", "training", "steps"], 700, TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (["publish", "licence"], "mit", PUBLISH | REPORT),
]


@pytest.mark.parametrize(
    ("path", "value", "expected"), CHANGES, ids=[".".join(path) for path, _, _ in CHANGES]
)
def test_a_changed_setting_reruns_its_stage_and_what_follows(
    finished: Path, tmp_path: Path, path: list[str], value: object, expected: set[str]
) -> None:
    assert_plan(finished, tmp_path, path, value, expected)


def assert_plan(finished: Path, tmp_path: Path, path: list[str], value: object, expected: set[str]) -> None:
    change(tmp_path / "changed.yaml", path, value)
    assert set(planned(finished, "all", "--configfile", str(tmp_path / "changed.yaml"))) == expected


def test_one_task_changed_leaves_the_other(finished: Path, tmp_path: Path) -> None:
    change(tmp_path / "changed.yaml", ["task", "cmrc2018", "training", "epochs"], 1)
    jobs = planned(finished, "all", "--configfile", str(tmp_path / "changed.yaml"))
    assert jobs["finetune_task"] == 2  # the teacher and the student, on the one task


def test_a_finished_run_has_nothing_to_do(finished: Path) -> None:
    assert planned(finished, "all") == {}


def test_the_casing_that_a_learned_vocabulary_has_anyhow_is_only_reported(finished: Path) -> None:
    assert set(planned(finished, "all", "--config", "vocabulary={lowercase: true}")) == REPORT


def test_comments_and_another_order_of_keys_rerun_nothing(finished: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((finished / "config.yaml").read_text("utf-8"))
    text = "# a comment\n" + yaml.safe_dump(_reversed(settings), sort_keys=False, allow_unicode=True)
    (tmp_path / "reordered.yaml").write_text(text, encoding="utf-8")
    assert planned(finished, "all", "--configfile", str(tmp_path / "reordered.yaml")) == {}


def test_a_comment_in_the_code_reruns_nothing(finished: Path) -> None:
    for name in (
        "mobilebert/distillation/losses.py",
        "scripts/transfer_layer.py",
        "workflow/inputs/students.py",
        "rules/distill.smk",
    ):
        with (finished / name).open("a", encoding="utf-8") as file:
            file.write("\n# a comment\n")
    assert planned(finished, "all") == {}


def test_where_and_how_a_run_works_reruns_nothing(finished: Path) -> None:
    beam = "beam={runner: flink, pipeline_options: [--flink_version=2.0]}"
    where = ("checkpoint_seconds=9", "state_bucket=gs://bucket/p", "on_nonfinite=skip", beam)
    assert planned(finished, "all", "--config", *where) == {}


def test_a_users_words_rerun_the_records_and_what_follows(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("小城\n", encoding="utf-8")
    change(tmp_path / "changed.yaml", ["records", "user_dictionary"], str(tmp_path / "words.txt"))
    jobs = set(planned(finished, "all", "--configfile", str(tmp_path / "changed.yaml")))
    assert jobs == {"write_records"} | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT


def test_an_export_of_the_records_reruns_nothing_else(finished: Path) -> None:
    assert set(planned(finished, "all", "--config", "records={export: bert}")) == {"export_records"} | REPORT


def test_fewer_tasks_and_one_task_more_rerun_nothing_before_finetuning(
    finished: Path, tmp_path: Path
) -> None:
    change(tmp_path / "fewer.yaml", ["tasks"], ["chnsenticorp"])
    jobs = planned(finished, "all", "--configfile", str(tmp_path / "fewer.yaml"), "--config", "run=other")
    assert jobs["finetune_task"] == 2
    assert (
        set(planned(finished, "all", "--configfile", str(tmp_path / "fewer.yaml")))
        <= FINETUNE | PUBLISH | REPORT
    )


def test_a_baseline_more_reruns_nothing_before_it(finished: Path, tmp_path: Path) -> None:
    change(tmp_path / "more.yaml", ["baselines"], ["scratch", "tables"])
    jobs = planned(finished, "all", "--configfile", str(tmp_path / "more.yaml"))
    assert jobs["pretrain_student"] == 2
    assert "transfer_layer" not in jobs
    assert "export_teacher" not in jobs


def test_forcerun_trains_all_stages_and_what_follows_anew(finished: Path) -> None:
    jobs = planned(finished, "all", "--forcerun", "transfer_layer")
    assert jobs["transfer_layer"] == 4
    assert set(jobs) == TRANSFER | STUDENT | AFTER_STUDENT


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("records", "write_records"),
        ("report", "write_report"),
    ],
)
def test_named_targets_end_where_their_name_says(copied: Path, target: str, last: str) -> None:
    assert_target(copied, target, last)


def assert_target(copied: Path, target: str, last: str) -> None:
    jobs = planned(copied, target)
    assert last in jobs
    assert "all" not in jobs
    if target != "report":
        assert "write_report" not in jobs


def test_given_artifacts_take_the_stages_before_them_out_of_the_graph(
    copied: Path, finished: Path, tmp_path: Path
) -> None:
    folder = finished / "results" / "demo"
    (tmp_path / "given.yaml").write_text(
        yaml.safe_dump(
            {"vocabulary": {"from": str(folder / "tokenizer")}, "records": {"from": str(folder / "records")}}
        ),
        encoding="utf-8",
    )
    jobs = planned(copied, "student", "--configfile", str(tmp_path / "given.yaml"))
    assert set(jobs) == TEACHER | TRANSFER | STUDENT | {"student"}


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return value


def test_another_task_reruns_nothing_before_finetuning(finished: Path) -> None:
    assert set(planned(finished, "all", "--config", "tasks=[cmrc2018]")) <= FINETUNE | PUBLISH | REPORT
    assert planned(finished, "all", "--config", "tasks=[chnsenticorp,cmrc2018]") == {}


def test_test_files_are_the_corpus_s_own_and_follow_from_no_task(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("label\ttext_a\n1\t很好。\n", encoding="utf-8")
    change(tmp_path / "changed.yaml", ["corpus", "decontaminate"], ["small_world", str(tmp_path / "dev.tsv")])
    assert set(planned(finished, "corpus", "--configfile", str(tmp_path / "changed.yaml"))) == {
        "clean_corpus",
        "corpus",
    }
    change(tmp_path / "task.yaml", ["task", "chnsenticorp", "files", "dev"], str(tmp_path / "dev.tsv"))
    assert "clean_corpus" not in planned(finished, "all", "--configfile", str(tmp_path / "task.yaml"))
