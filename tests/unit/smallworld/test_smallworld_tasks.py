"""The small world's task sets: honest, answerable, and nothing given away by form."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest

from mobilebert.settings import SmallWorld
from mobilebert.smallworld import Generator, reading
from mobilebert.smallworld.reviews import review_rows, to_tsv

SEED = 11


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(SmallWorld(megabytes=1), SEED)


@pytest.fixture(scope="module")
def files(generator: Generator) -> dict[str, dict]:
    taken: set[str] = set()
    return {
        split: reading.cmrc(generator.documents, SEED, split, count, taken)
        for split, count in (("train", 500), ("dev", 200))
    }


@pytest.fixture(scope="module")
def rows(generator: Generator) -> dict[str, list[tuple[int, str]]]:
    taken: set[str] = set()
    return {
        split: review_rows(generator.documents.reviews, SEED, split, count, taken)
        for split, count in (("train", 3000), ("dev", 1200))
    }


def questions(body: dict) -> list[tuple[str, dict]]:
    return [(p["context"], q) for article in body["data"] for p in article["paragraphs"] for q in p["qas"]]


def test_cmrc_layout_and_honest_offsets(files: dict[str, dict]) -> None:
    for split, count, answers in (("train", 500, 1), ("dev", 200, 3)):
        body = files[split]
        assert set(body) == {"version", "data"}
        assert all(set(article) == {"paragraphs", "id", "title"} for article in body["data"])
        asked = questions(body)
        assert len(asked) == count
        assert len({question["id"] for _, question in asked}) == count
        for context, question in asked:
            assert len(question["answers"]) == answers
            for answer in question["answers"]:
                assert answer["text"]
                assert context[answer["answer_start"] :].startswith(answer["text"])
            shortest = min((answer["text"] for answer in question["answers"]), key=len)
            assert all(shortest in answer["text"] for answer in question["answers"])


def test_some_dev_answers_differ_between_annotators(files: dict[str, dict]) -> None:
    differing = sum(
        len({answer["text"] for answer in question["answers"]}) > 1 for _, question in questions(files["dev"])
    )
    assert differing / 200 > 0.02  # about 0.04 of many


def test_the_answer_type_alone_does_not_give_the_answer(files: dict[str, dict]) -> None:
    rivals = []
    for context, question in questions(files["train"]):
        answer = question["answers"][0]["text"]
        if re.fullmatch(r"(公元)?\d+(\.\d+)?\D{1,4}", answer):
            unit = re.sub(r"[\d.]|公元", "", answer)
            rivals.append(len({found.group() for found in re.finditer(rf"\d+(\.\d+)?{unit}", context)}))
    assert len(rivals) > 150
    assert sum(count > 1 for count in rivals) / len(rivals) > 0.7


def test_questions_are_of_many_types_and_directions(files: dict[str, dict]) -> None:
    asked = questions(files["train"])
    titles = {article["title"] for article in files["train"]["data"]}
    assert len({re.sub(r"\d", "", question["question"])[-5:] for _, question in asked}) > 40
    inverse = sum(question["answers"][0]["text"] in titles for _, question in asked) / len(asked)
    assert 0.03 < inverse < 0.4


def test_train_and_dev_share_no_context_and_dev_has_new_things(
    generator: Generator, files: dict[str, dict]
) -> None:
    train, dev = ({context for context, _ in questions(files[split])} for split in ("train", "dev"))
    assert not train & dev
    corpus = "".join(generator.documents.text(number) for number in range(1500)) + "".join(train)
    titles = [article["title"] for article in files["dev"]["data"]]
    new = sum(title not in corpus for title in titles) / len(titles)
    assert 0.3 < new < 0.7


def test_no_dev_question_stands_in_train(generator: Generator, files: dict[str, dict]) -> None:
    train, dev = (
        {question["question"] for _, question in questions(files[split])} for split in ("train", "dev")
    )
    assert not train & dev
    alone = reading.cmrc(generator.documents, SEED, "dev", 200, set())
    assert train & {question["question"] for _, question in questions(alone)}, "without looking, some would"


def test_chnsenticorp_layout(rows: dict[str, list[tuple[int, str]]]) -> None:
    text = to_tsv(rows["dev"])
    first, *others = text.split("\n")
    assert first == "label\ttext_a"
    assert others.pop() == ""
    assert len(others) == 1200
    assert all(re.fullmatch(r'[01]\t[^\t"]+', row) for row in others)


def test_labels_are_balanced_and_no_text_stands_twice(rows: dict[str, list[tuple[int, str]]]) -> None:
    for split in rows.values():
        assert Counter(label for label, _ in split)[1] == len(split) // 2
    everything = [text for split in rows.values() for _, text in split]
    assert len(set(everything)) == len(everything)


def test_a_review_and_its_counterpart_have_the_same_form(generator: Generator) -> None:
    def form(text: str) -> str:
        return re.sub(r"[^，。！；：、.\d]", "x", text)

    for seed in range(300):
        good, bad = (generator.documents.reviews.text(random.Random(seed), label) for label in (1, 0))
        assert good != bad
        assert form(good) == form(bad)


def test_length_and_punctuation_alone_are_at_chance(rows: dict[str, list[tuple[int, str]]]) -> None:
    def features(split: str) -> np.ndarray:
        return np.array(
            [
                [1, len(text), len(text) ** 2 / 50, *(text.count(mark) for mark in "，。！；、0123456789")]
                for _, text in rows[split]
            ],
            dtype=float,
        )

    def labels(split: str) -> np.ndarray:
        return np.array([label for label, _ in rows[split]])

    weights = np.linalg.lstsq(features("train"), labels("train") - 0.5, rcond=None)[0]
    accuracy = float(((features("dev") @ weights > 0) == labels("dev")).mean())
    # 1,200 rows: three standard deviations are 0.043.
    assert abs(accuracy - 0.5) < 0.045


def test_what_is_said_decides(rows: dict[str, list[tuple[int, str]]]) -> None:
    """Naive Bayes over character pairs does far better than chance and, since negation and contrast count,
    far from perfectly.
    """

    def grams(text: str) -> set[str]:
        return {text[at : at + 2] for at in range(len(text) - 1)}

    seen = {
        label: Counter(
            gram for row_label, text in rows["train"] if row_label == label for gram in grams(text)
        )
        for label in (0, 1)
    }
    right = 0
    for label, text in rows["dev"]:
        score = sum(np.log((seen[1][gram] + 1) / (seen[0][gram] + 1)) for gram in grams(text))
        right += (score > 0) == bool(label)
    assert 0.7 < right / len(rows["dev"]) < 0.95
