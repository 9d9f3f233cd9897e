"""Original configurations as shapes of the user's own: names in the graph, what a change reruns, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.exceptions import WorkflowError

from tests.workflow.conftest import clone, planned, snakemake, stand_in_commands
from workflow.settings import load

# As Chinese-MobileBERT's config/student_base_f2.json and Google's bert_config.json are written, smaller.
STUDENT = {
    "attention_probs_dropout_prob": 0.1,
    "classifier_activation": False,
    "embedding_size": 96,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 96,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "intra_bottleneck_size": 24,
    "max_position_embeddings": 512,
    "normalization_type": "no_norm",
    "num_attention_heads": 4,
    "num_feedforward_networks": 2,
    "num_hidden_layers": 2,
    "trigram_input": True,
    "type_vocab_size": 2,
    "use_bottleneck": True,
    "use_bottleneck_attention": True,
    "vocab_size": 4000,
}
TEACHER = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 96,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pooler_fc_size": 768,
    "type_vocab_size": 2,
    "vocab_size": 4000,
}


def written(folder: Path, **changed: Any) -> dict[str, Any]:
    """Settings that name both files, which are written to the folder."""
    (folder / "student_base_f2.json").write_text(json.dumps(STUDENT, indent=2), encoding="utf-8")
    (folder / "bert_config.json").write_text(json.dumps(TEACHER, indent=2), encoding="utf-8")
    shapes = {
        "my-student": str(folder / "student_base_f2.json"),
        "my-teacher": str(folder / "bert_config.json"),
    }
    settings = {
        "shapes": shapes,
        "students": ["my-student"],
        "teacher": {"shape": "my-teacher"},
        "vocabulary": {"size": 4000},
    }
    return settings | changed


def test_a_changed_file_reruns_the_rules_that_make_its_model_and_another_layout_none(
    root: Path, tmp_path: Path
) -> None:
    folder = clone(root, tmp_path / "clone")
    stand_in_commands(folder)
    mine = tmp_path / "mine.yaml"
    settings = written(tmp_path, students=["my-student", "another"])
    (tmp_path / "another.json").write_text(json.dumps(STUDENT | {"intermediate_size": 72}), encoding="utf-8")
    settings["shapes"]["another"] = str(tmp_path / "another.json")
    mine.write_text(yaml.safe_dump(settings), encoding="utf-8")
    jobs = planned(folder, "student", "--configfile", str(mine))
    assert jobs["transfer_layer"] == 4
    snakemake(folder, "--profile", "profiles/local", "student", "--configfile", str(mine))
    assert (folder / "results/demo/students/my-student/transfer/layer02/manifest.json").is_file()
    assert (folder / "results/demo/students/my-student/pretrained/manifest.json").is_file()
    student = tmp_path / "student_base_f2.json"
    student.write_text(json.dumps(dict(reversed(STUDENT.items()))), encoding="utf-8")
    assert planned(folder, "student", "--configfile", str(mine)) == {}
    student.write_text(json.dumps(STUDENT | {"intermediate_size": 80}), encoding="utf-8")
    jobs = planned(folder, "student", "--configfile", str(mine))
    assert jobs == {"transfer_layer": 2, "pretrain_student": 1, "student": 1}, "of this student alone"
    student.write_text(json.dumps(STUDENT), encoding="utf-8")
    (tmp_path / "bert_config.json").write_text(
        json.dumps(TEACHER | {"intermediate_size": 96}), encoding="utf-8"
    )
    rerun = {"pretrain_teacher", "export_teacher", "transfer_layer", "pretrain_student", "student"}
    assert set(planned(folder, "student", "--configfile", str(mine))) == rerun


@pytest.mark.parametrize(
    ("changed", "file", "lines"),
    [
        ({"students": ["my-studnt"]}, STUDENT, ["students: found 'my-studnt'", "did you mean my-student?"]),
        ({"students": ["base-f3"]}, STUDENT, ["students: found 'base-f3'", "did you mean base-f"]),
        (
            {"teacher": {"shape": "my-taecher"}},
            STUDENT,
            ["teacher.shape: found 'my-taecher'", "did you mean my-teacher?"],
        ),
        ({}, None, ["shapes.my-student: ", "student_base_f2.json: not there"]),
        (
            {},
            STUDENT | {"num_attention_heads": 5},
            ["shapes.my-student: ", "num_attention_heads: 5 does not divide"],
        ),
        ({}, {"num_hidden_layers": 2}, ["shapes.my-student: ", "vocab_size: missing"]),
        (
            {},
            STUDENT | {"vocab_size": 21128},
            ["shapes.my-student: ", "vocab_size 21128, vocabulary.size is 4000"],
        ),
        (
            {},
            STUDENT | {"hidden_size": 128},
            [
                "students: my-student does not fit teacher.shape my-teacher",
                "teacher has 96 as hidden size",
                "transfer.projection: linear",
            ],
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, changed: dict[str, Any], file: dict[str, Any] | None, lines: list[str]
) -> None:
    settings = written(tmp_path, **changed)
    (tmp_path / "student_base_f2.json").unlink()
    if file:
        (tmp_path / "student_base_f2.json").write_text(json.dumps(file), encoding="utf-8")
    with pytest.raises(WorkflowError) as refused:
        load(settings, [])
    _, *found = str(refused.value).splitlines()
    assert len(found) == 1
    assert all(part in found[0] for part in lines), found[0]


def test_a_teacher_may_know_more_positions_than_its_student(tmp_path: Path) -> None:
    settings = written(tmp_path)
    (tmp_path / "student_base_f2.json").write_text(
        json.dumps(STUDENT | {"max_position_embeddings": 128}), encoding="utf-8"
    )
    load(settings, [])


@pytest.mark.parametrize(
    "name", ["mini", "bert-base", "teacher-x", "my-scratch", "my-layer03", "../x", "a b", "a/b"]
)
def test_a_name_that_means_something_else_is_refused(tmp_path: Path, name: str) -> None:
    settings = written(tmp_path)
    settings["shapes"][name] = settings["shapes"]["my-student"]
    with pytest.raises(WorkflowError) as refused:
        load(settings, [])
    assert len(str(refused.value).splitlines()) == 2
    assert "shapes" in str(refused.value).splitlines()[1]
