"""The dry run of every preset with every profile, and the user's own command. Never skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import change, planned, snakemake

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted(path.name for path in (ROOT / "presets").glob("*.yaml"))
PROFILES = sorted(path.name for path in (ROOT / "profiles").iterdir())
# A dry run needs neither the cloud's executor nor its bucket.
WITHOUT_CLOUD = ["--executor", "dryrun", "--default-storage-provider", "none"]


def test_all_presets_and_profiles_are_there() -> None:
    assert PRESETS == ["base-f2.yaml", "base-f4.yaml", "large-f2.yaml", "large-f4.yaml"]
    assert PROFILES == ["batch", "local", "slurm", "tpu"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("preset", PRESETS)
def test_preset_with_profile(copied: Path, preset: str, profile: str) -> None:
    cloud = WITHOUT_CLOUD if profile == "batch" else []
    text = ("--config", "sources=[{name: mine, from: README_ZH.md}]")
    arguments = ("all", *cloud, "--configfile", f"presets/{preset}", *text)
    jobs = planned(copied, *arguments, profile=f"profiles/{profile}")
    layers = 24 if preset.startswith("large") else 12
    assert jobs["transfer_layer"] == layers
    assert jobs["import_teacher"] == jobs["import_vocabulary"] == jobs["pretrain_student"] == 1
    assert ("retrain_head" in jobs) == preset.startswith(
        "large"
    )  # the public large teacher's MLM head is random
    assert "pretrain_teacher" not in jobs
    assert "learn_vocabulary" not in jobs


def test_a_preset_without_text_of_ones_own_is_refused_in_a_line(copied: Path) -> None:
    preset = ("--configfile", f"presets/{PRESETS[0]}")
    done = snakemake(copied, "--profile", "tpu", "all", "-n", *preset, check=False)
    assert "sources: the text is the generated small_world, 6 MB" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_shipped_settings_with_profile(copied: Path, profile: str) -> None:
    cloud = WITHOUT_CLOUD if profile == "batch" else []
    jobs = planned(copied, "all", *cloud, profile=f"profiles/{profile}")
    assert jobs["transfer_layer"] == 4
    assert jobs["verify_published"] == jobs["write_report"] == jobs["pretrain_teacher"] == 1


def test_the_users_own_command(copied: Path) -> None:
    done = snakemake(copied, "--profile", "tpu", "all", "-n")
    assert "write_report" in done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["tf1", "transformers"])
def test_a_given_teacher_is_imported_and_its_head_trained_anew_only_when_asked(
    copied: Path, tmp_path: Path, kind: str
) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(
        f"teacher: {{kind: {kind}, path: teachers/x/bert_model.ckpt}}\nvocabulary: {{kind: teacher}}\n",
        encoding="utf-8",
    )
    jobs = planned(copied, "teacher", "--configfile", str(given))
    assert jobs["import_teacher"] == jobs["import_vocabulary"] == jobs["export_teacher"] == 1
    assert not {"pretrain_teacher", "learn_vocabulary", "retrain_head"} & set(jobs)
    with given.open("a", encoding="utf-8") as stream:
        stream.write("students: [mini]\n")
    jobs = planned(copied, "teacher", "--configfile", str(given), "--config", "teacher={retrain_head: true}")
    assert jobs["import_teacher"] == jobs["retrain_head"] == jobs["export_teacher"] == 1


def test_a_dry_run_names_each_setting_whose_path_is_not_there(copied: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(
        "teacher: {kind: transformers, path: teachers/none}\nvocabulary: {kind: teacher}\n"
        "student: {from: students/none}\ntransfer: {schedule: none}\n"
        "sources: [{name: x, from: texts/none.txt}, {name: y, from: 'gs://bucket/none.txt'}]\n"
        "task: {cmrc2018: {files: {train: none.json, dev: small_world}}}\n",
        encoding="utf-8",
    )
    done = snakemake(copied, "--profile", "profiles/local", "-n", "all", "--configfile", str(given))
    output = (done.stdout + done.stderr).splitlines()
    lines = [line for line in output if line.startswith("WARNING: ")]
    assert [line.split(" is not there")[0].removeprefix("WARNING: ") for line in lines] == [
        "sources, x: texts/none.txt",
        "teacher.path: teachers/none",
        "student.from: students/none",
        "task.cmrc2018.files.train: none.json",
    ]


def test_auxiliary_transfer_is_no_stage_of_its_own(copied: Path, tmp_path: Path) -> None:
    change(tmp_path / "changed.yaml", ["transfer"], {"schedule": "auxiliary"})
    jobs = planned(copied, "student", "--configfile", str(tmp_path / "changed.yaml"))
    assert "transfer_layer" not in jobs
    assert jobs["pretrain_student"] == 1


def test_records_for_other_programs_are_a_stage_more(copied: Path) -> None:
    plain, more = planned(copied, "all"), planned(copied, "all", "--config", "records={export: bert}")
    assert set(more) - set(plain) == {"export_records"}
    assert (
        planned(copied, "records", "--config", "records={export: bert, dupe_factor: 2}")["export_records"]
        == 1
    )


def test_classic_records_take_the_corpus_out_of_the_graph(copied: Path, tmp_path: Path) -> None:
    for name in ("part {1}.tfrecord", "b.tfrecord"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    settings = {
        "records": {"from": f"{tmp_path}/*.tfrecord"},
        "vocabulary": {"kind": "file", "path": str(tmp_path / "vocab.txt")},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    jobs = planned(copied, "student", "--configfile", str(tmp_path / "mine.yaml"))
    assert jobs["import_records"] == jobs["import_vocabulary"] == jobs["pretrain_teacher"] == 1
    assert not {"write_records", "clean_corpus", "make_small_world"} & set(jobs)


def test_a_given_student_is_imported_only_from_a_tf1_checkpoint(copied: Path, tmp_path: Path) -> None:
    for place, imported in (("students/theirs/model.ckpt-2000", 1), ("students/theirs", None)):
        given = tmp_path / "given.yaml"
        given.write_text(
            f"student: {{from: {place}}}\ntransfer: {{schedule: none}}\nbaselines: [scratch]\n",
            encoding="utf-8",
        )
        jobs = planned(copied, "all", "--configfile", str(given))
        assert jobs.get("import_student") == imported
        assert jobs["pretrain_student"] == 2


def test_the_teacher_is_exported_to_be_timed_and_neither_checked_nor_published(copied: Path) -> None:
    jobs = planned(copied)  # without a target: all
    assert jobs["all"] == 1
    assert jobs["export_model"] == jobs["measure_latency"] == 3
    assert (jobs["check_export"], jobs["publish_model"]) == (2, 1)
    assert planned(copied, "all", "--config", "export={teacher: false}")["measure_latency"] == 2


def test_the_tf1_form_is_exported_and_checked_but_not_timed(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "forms.yaml").write_text("export: {formats: [transformers, tf1]}\n", encoding="utf-8")
    jobs = planned(copied, "all", "--configfile", str(tmp_path / "forms.yaml"))
    assert jobs["export_model"] == jobs["check_export"] == 2
    assert jobs["measure_latency"] == 1
