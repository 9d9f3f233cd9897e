"""Scores against the official script's values: the shared pairs, and cases of our own that travel with the
repository.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mobilebert.finetuning import metrics
from mobilebert.finetuning.segmentation import mixed_segmentation, remove_punctuation

# answers, prediction, EM, F1, units of the prediction; worked out by hand from the official rules, and run
# through its mixed segmentation with NLTK 3.10.4
CASES = [
    (["长江"], "长江", 1, 1.0, ["长", "江"]),
    (["长江。"], "《长江》", 1, 1.0, ["长", "江"]),
    (["长江三峡"], "长江", 0, 2 * 2 / 6, ["长", "江"]),
    (["江长"], "长江", 0, 0.5, ["长", "江"]),  # a contiguous run, not a subsequence or a bag
    (["甲乙丙丁"], "甲丙丁", 0, 2 * 2 / 7, ["甲", "丙", "丁"]),
    (["黄河", "长江上游"], "长江", 0, 2 * 2 / 6, ["长", "江"]),
    (["1,000 km"], "1,000km", 0, 0.0, ["1,000km"]),
    (["Windows 95"], "windows95", 0, 0.0, ["windows95"]),
    (["Apple Inc."], "apple inc", 0, 0.8, ["apple", "inc"]),
    (["don't"], "don't", 1, 1.0, ["do", "n't"]),
    (["J. Smith教授"], "j. smith", 0, 2 * 2 / 6, ["j.", "smith"]),
    (["A&B公司"], "a&b", 0, 2 * 3 / 8, ["a", "&", "b"]),
    (["约3.5%"], "3.5%", 0, 2 * 2 / 5, ["3.5", "%"]),
    (["2008-08-08"], "20080808", 1, 1.0, ["20080808"]),
    (["(甲)乙"], "甲乙", 0, 2 * 1 / 6, ["甲", "乙"]),
    (["John's book"], "john's", 0, 0.8, ["john", "'s"]),
]


@pytest.mark.parametrize(("answers", "prediction", "em", "f1", "units"), CASES)
def test_em_f1_and_units_of_own_cases(
    answers: list[str], prediction: str, em: int, f1: float, units: list[str]
) -> None:
    found = metrics.cmrc_em_f1(prediction, answers)
    assert found == (em, pytest.approx(f1))
    assert mixed_segmentation(prediction) == units


def test_all_pairs_of_the_official_script_are_reproduced(shared_data: Path) -> None:
    pairs = json.loads((shared_data / "eval" / "cmrc2018_eval_pairs.json").read_text(encoding="utf-8"))
    assert len(pairs) == 45
    for pair in pairs:
        em, f1 = metrics.cmrc_em_f1(pair["prediction"], pair["answers"])
        assert (em, round(f1, 6)) == (pair["em"], pair["f1"]), pair["case"]
        assert [mixed_segmentation(answer) for answer in pair["answers"]] == pair["answer_tokens"], pair[
            "case"
        ]
        assert mixed_segmentation(pair["prediction"]) == pair["prediction_tokens"], pair["case"]


def test_predictions_that_are_no_text_count_as_their_str() -> None:
    assert metrics.cmrc_em_f1(79, ["79"]) == (1, 1.0)
    assert metrics.cmrc_em_f1(None, ["none"]) == (1, 1.0)


def test_nothing_predicted_scores_nothing() -> None:
    assert metrics.cmrc_em_f1("", ["长江"]) == (0, 0.0)
    assert metrics.cmrc_em_f1("。", ["长江"]) == (0, 0.0)


def test_punctuation_of_the_list_goes_and_the_rest_stays() -> None:
    assert remove_punctuation(" “A-B”：、C…… ") == "abc……"
    assert mixed_segmentation("他说“好”(是)!") == ["他", "说", "好", "(", "是", ")", "!"]


def test_longest_common_run_equals_brute_force() -> None:
    draw = random.Random(7)
    for _ in range(200):
        first, second = ("".join(draw.choices("abc", k=draw.randint(0, 8))) for _ in range(2))
        runs = {first[i:j] for i in range(len(first)) for j in range(i + 1, len(first) + 1)}
        expected = max((len(run) for run in runs if run in second), default=0)
        assert metrics.longest_common_run(list(first), list(second)) == expected


def test_means_over_questions() -> None:
    assert metrics.mean_em_f1(["长江", "山"], [["长江"], ["长江"]]) == {"em": 0.5, "f1": 0.5}
    assert metrics.mean_em_f1([], []) == {"em": 0.0, "f1": 0.0}


def test_accuracy_is_the_share_of_equal_labels() -> None:
    assert metrics.accuracy([0, 1, 2, 1], [0, 1, 1, 1]) == 0.75
    with pytest.raises(ValueError, match="zip"):
        metrics.accuracy([0], [0, 1])
