"""Reading of reading comprehension files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobilebert.errors import UserError
from mobilebert.tasks import reading

CONTEXT = "甲生于1901年，乙生于1903年，丙也生于1901年。"


def squad(*answers: tuple[Any, int], identifier: str = "Q0") -> dict[str, Any]:
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {
        "version": "v1.0",
        "data": [
            {
                "paragraphs": [
                    {"context": CONTEXT, "qas": [{"question": "？", "id": identifier, "answers": found}]}
                ]
            }
        ],
    }


def read(tmp_path: Path, body: Any, *, training: bool = True):
    path = tmp_path / "cmrc.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False), encoding="utf-8")
    return reading.read(path, "train", training=training)


def starts(split) -> list[int]:
    return [answer.start for answer in split.examples[0].answers]


def test_honest_offsets_stay(tmp_path: Path) -> None:
    split = read(tmp_path, squad(("1901年", 22), ("1903年", 12)))
    assert starts(split) == [22, 12] == [CONTEXT.rindex("1901年"), CONTEXT.index("1903年")]
    assert split.counts["relocated"] == 0
    assert split.examples[0].to_json()["answers"][0] == {"text": "1901年", "start": 22}


def test_wrong_offsets_move_to_the_nearest_place(tmp_path: Path) -> None:
    split = read(tmp_path, squad(("1901年", 20), ("1901年", 1), ("1903年", -1)))
    assert starts(split) == [22, 3, 12]
    assert split.counts["relocated"] == 3


def test_training_drops_what_is_not_in_the_context_and_dev_keeps_it(tmp_path: Path) -> None:
    body = squad(("1999年", -1), ("1903年", 12))
    train, dev = read(tmp_path, body), read(tmp_path, body, training=False)
    assert starts(train) == [12]
    assert train.counts["dropped"] == 1
    assert starts(dev) == [-1, 12]
    assert dev.counts["not_in_context"] == 1
    two = squad(("1903年", 12))
    two["data"] += squad(("1999年", -1), identifier="Q1")["data"]
    split = read(tmp_path, two)
    assert [example.id for example in split.examples] == ["Q0"]
    assert split.counts["dropped_examples"] == 1


def test_the_list_layout_is_read_the_same(tmp_path: Path) -> None:
    body = [
        {
            "context_id": "C",
            "context_text": CONTEXT,
            "title": "",
            "qas": [{"query_id": "Q0", "query_text": "？", "answers": ["1903年", 20.0]}],
        }
    ]
    split = read(tmp_path, body, training=False)
    assert [(answer.text, answer.start) for answer in split.examples[0].answers] == [
        ("1903年", 12),
        ("20.0", -1),
    ]
    assert split.counts["relocated"] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the file is empty"),
        ('{"data": [\n  {"a": }\n]}', "line 2, column 9: not JSON"),
        ('{"version": 1}', 'neither {"data": [...]} nor a list of contexts, found: version'),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data[0].paragraphs[0]: no 'context' (found: qas)"),
        ('[{"context_text": 3}]', "[0].context_text: of type int"),
        ("[]", "no question with an answer"),
        (json.dumps(squad(("1999年", -1))), "no question with an answer"),
        (json.dumps(squad(("", 0))), "data[0].paragraphs[0].qas[0].answers[0]: the answer is empty"),
    ],
)
def test_refusals_say_where_and_what(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, body)
    assert message in str(caught.value)
    assert "cmrc.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_id_twice_is_refused(tmp_path: Path) -> None:
    body = squad(("1903年", 12))
    body["data"] *= 2
    with pytest.raises(UserError, match="'Q0' stands there twice"):
        read(tmp_path, body)


def test_the_real_files(shared_data: Path) -> None:
    folder = shared_data / "tasks" / "cmrc2018"
    train = reading.read(folder / "cmrc2018_train.json", "train", training=True)
    # The counts of the data's README: 106 and 35 offsets of -1, none of whose answers stands in its context,
    # and 12 wrong ones.
    assert (train.counts["examples"], train.counts["contexts"]) == (2833, 741)
    assert (train.counts["dropped"], train.counts["relocated"], train.counts["dropped_examples"]) == (
        106,
        12,
        0,
    )
    dev = reading.read(folder / "cmrc2018_dev.json", "dev", training=False)
    assert (dev.counts["examples"], dev.counts["contexts"]) == (628, 165)
    assert (dev.counts["not_in_context"], dev.counts["relocated"]) == (35, 0)
    for example in (*train.examples, *dev.examples):
        assert all(
            answer.start == -1 or example.context[answer.start :].startswith(answer.text)
            for answer in example.answers
        )


def test_both_layouts_of_the_real_dev_file_hold_the_same(shared_data: Path) -> None:
    folder = shared_data / "tasks" / "cmrc2018"
    one, two = (
        reading.read(folder / name, "dev", training=False)
        for name in ("cmrc2018_dev.json", "cmrc2018_dev.original_layout.json")
    )
    assert {(e.id, e.context, e.question) for e in one.examples} == {
        (e.id, e.context, e.question) for e in two.examples
    }
    answers = [{e.id: [a.text for a in e.answers] for e in split.examples} for split in (one, two)]
    assert answers[0] == answers[1]
    assert two.counts["not_in_context"] == 35


def test_drcd_has_the_same_layout(shared_data: Path) -> None:
    split = reading.read(shared_data / "tasks" / "drcd" / "DRCD_dev.json", "dev", training=False)
    assert split.counts["examples"] == 1814
