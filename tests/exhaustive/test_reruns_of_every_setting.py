"""More settings and targets than tests/workflow/test_reruns.py asks a dry run about, each of 2.5 CPU
seconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.conftest import copied, finished  # noqa: F401
from tests.workflow.test_reruns import (
    AFTER_STUDENT,
    CORPUS,
    EXPORT,
    FINETUNE,
    PUBLISH,
    REPORT,
    STUDENT,
    TEACHER,
    TRANSFER,
    assert_plan,
    assert_target,
)

CHANGES = [
    (["corpus", "script"], "simplify", CORPUS | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (["corpus", "cantonese"], "drop", CORPUS | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (
        ["vocabulary", "lowercase"],
        False,
        CORPUS - {"clean_corpus"} | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT,
    ),
    (["vocabulary", "size"], 3000, CORPUS - {"clean_corpus"} | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (["records", "shards"], 5, {"write_records"} | TEACHER | TRANSFER | STUDENT | AFTER_STUDENT),
    (["teacher", "min_head_lift"], 0.01, {"export_teacher"} | TRANSFER | STUDENT | AFTER_STUDENT),
    (["transfer", "mean_factor"], 1.0, TRANSFER | STUDENT | AFTER_STUDENT),
    (["pretraining", "training", "learning_rate"], 0.1, STUDENT | AFTER_STUDENT),
    (["task", "chnsenticorp", "training", "epochs"], 1, FINETUNE | PUBLISH | REPORT),
    (["finetuning", "seeds"], 2, FINETUNE | PUBLISH | REPORT),
    (["export", "tolerance"], 0.5, EXPORT | PUBLISH | REPORT),
]


@pytest.mark.parametrize(
    ("path", "value", "expected"), CHANGES, ids=[".".join(path) for path, _, _ in CHANGES]
)
def test_a_changed_setting_reruns_its_stage_and_what_follows(
    finished: Path,  # noqa: F811
    tmp_path: Path,
    path: list[str],
    value: object,
    expected: set[str],
) -> None:
    assert_plan(finished, tmp_path, path, value, expected)


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("corpus", "clean_corpus"),
        ("vocabulary", "learn_vocabulary"),
        ("teacher", "export_teacher"),
        ("student", "pretrain_student"),
        ("scores", "collect_scores"),
        ("exports", "check_export"),
        ("publish", "verify_published"),
    ],
)
def test_named_targets_end_where_their_name_says(copied: Path, target: str, last: str) -> None:  # noqa: F811
    assert_target(copied, target, last)
