"""Documents that hold test texts go; all others stay."""

from __future__ import annotations

import gzip
import json

import pyarrow.parquet as pq
import pytest

from mobilebert.corpus import decontamination
from mobilebert.corpus.pipeline import clean_corpus
from mobilebert.corpus.sources.listing import list_sources
from mobilebert.errors import UserError
from mobilebert.settings import Corpus, Source
from mobilebert.text import document

CONTEXT = (
    "范廷颂枢机，圣名保禄，是越南罗马天主教枢机。一九六三年被任为主教，后来在河内总教区工作多年，直到退休。"
)
OTHER = "每天早上先去河边看看远处青山，再写几行字。晚上朋友来喝茶，大家谈起从前和将来，直到夜深才回家去。"
FORMS = {
    "cmrc2018/dev.json": json.dumps(
        {
            "data": [
                {
                    "paragraphs": [
                        {
                            "context": CONTEXT,
                            "qas": [{"id": "DEV_0_QUERY_0", "question": "何时被任为主教？", "answers": []}],
                        }
                    ]
                }
            ]
        },
        ensure_ascii=False,
    ),
    "old/dev.json": json.dumps(
        [{"context_id": "DEV_0", "context_text": CONTEXT, "qas": []}], ensure_ascii=False
    ),
    "reviews/dev.tsv": f"label\ttext_a\n1\t{CONTEXT}\n0\t不好。\n",
    "pairs/dev.txt": f"text_a\ttext_b\tlabel\n短句\t{CONTEXT}\t1\n",
    "clue/dev.json": json.dumps({"sentence": CONTEXT}, ensure_ascii=False)
    + "\n"
    + json.dumps({"sentence": "短句"})
    + "\n",
    "lines/dev.jsonl": json.dumps({"id": 1, "text": CONTEXT}) + "\n\n",
    "plain/test.txt": f"另一行\n{CONTEXT}\n",
}


def tables(tmp_path, name="plain/test.txt"):
    path = tmp_path / "tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FORMS[name], encoding="utf-8")
    (tmp_path / "work").mkdir(exist_ok=True)
    decontamination.write([path], str(tmp_path / "work"))
    return decontamination.TestTexts(str(tmp_path / "work"))


def match(found, text: str, most: float = 0.3) -> str | None:
    return found.match(document.Documents([text]).wording_of(0), most)


def matches(found, texts: list[str]) -> list[str | None]:
    documents = document.Documents(texts)
    return [found.match(documents.wording_of(place), 0.3) for place in range(len(texts))]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_test_files_is_read(tmp_path, name):
    found = tables(tmp_path, name)
    assert match(found, OTHER + CONTEXT + OTHER) == name
    assert match(found, OTHER) is None


def test_the_same_words_in_another_dress_are_found(tmp_path):
    found = tables(tmp_path)
    dressed = (
        CONTEXT.replace("，", " , ")
        .replace("范廷颂", "范廷頌")
        .replace("枢机", "樞機")
        .replace("后来", "後來")
    )
    assert match(found, dressed) == "plain/test.txt"


def test_a_share_of_a_test_text_decides(tmp_path):
    found = tables(tmp_path)
    letters = "".join(filter(str.isalnum, CONTEXT))
    grams = len(letters) - 12
    for shared in (grams // 4, grams // 2):
        text = OTHER + letters[: shared + 12] + OTHER
        assert (match(found, text, 0.3) is not None) == (shared > 0.3 * grams)
        assert (match(found, text, 0.6) is not None) == (shared > 0.6 * grams)


def test_what_many_texts_say_in_passing_drops_nothing(tmp_path):
    """One long name in common is no contamination, in however many test texts it stands."""
    name = "中华人民共和国全国人民代表大会"
    path = tmp_path / "dev.txt"
    path.write_text("\n".join(f"{name}在第{n}年{OTHER[n:]}" for n in range(5)), encoding="utf-8")
    decontamination.write([path], str(tmp_path))
    assert match(decontamination.TestTexts(str(tmp_path)), f"{name}通过了许多法律。" * 3) is None


def test_files_without_a_text_are_refused(tmp_path):
    (tmp_path / "dev.txt").write_text("短\n也短\n", encoding="utf-8")
    with pytest.raises(UserError, match="no text of 20 characters"):
        decontamination.write([tmp_path / "dev.txt"], str(tmp_path))


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.json: no such file"):
        decontamination.files([str(tmp_path / "nowhere.json")], None)
    with pytest.raises(UserError, match="small_world"):
        decontamination.files(["small_world"], None)
    (tmp_path / "dev.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="no JSON"):
        decontamination.write([tmp_path / "dev.json"], str(tmp_path))


def test_the_world_s_dev_files_are_found(tmp_path):
    for name in ("cmrc2018/dev.json", "cmrc2018/train.json", "chnsenticorp/dev.tsv"):
        (tmp_path / "tasks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tasks" / name).write_text("x", encoding="utf-8")
    found = decontamination.files(["small_world"], tmp_path)
    assert [path.name for path in found] == ["dev.tsv", "dev.json"]


@pytest.mark.parametrize("threads", [1, 2])
def test_contaminated_documents_are_counted_with_their_file(tmp_path, threads):
    texts = [OTHER + CONTEXT, OTHER + "这是另一件事，与前者无关，说来话长。", CONTEXT]
    (tmp_path / "x.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8"
    )
    (tmp_path / "dev.json").write_text(FORMS["old/dev.json"], encoding="utf-8")
    list_sources(
        [Source.model_validate({"name": "x", "from": str(tmp_path / "x.jsonl")})],
        tmp_path / "sources",
        None,
        [],
    )
    settings = Corpus.model_validate({"decontaminate": [str(tmp_path / "dev.json")]})
    clean_corpus(tmp_path / "sources", tmp_path / "corpus", settings, threads)
    funnel = json.loads((tmp_path / "corpus" / "funnel.json").read_text(encoding="utf-8"))
    assert {reason: entry["documents"] for reason, entry in funnel["total"]["reasons"].items()} == {
        "contaminated": 2
    }
    rejects = pq.read_table(tmp_path / "corpus" / "rejects").to_pylist()
    assert {row["detail"] for row in rejects} == {f"{tmp_path.name}/dev.json"}
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text(encoding="utf-8"))
    assert [len(digest) for digest in manifest["settings"]["files"]] == [64]


def test_real_test_contexts_all_go_and_other_text_stays(shared_data, tmp_path):
    decontamination.write([shared_data / "tasks" / "cmrc2018" / "cmrc2018_dev.json"], str(tmp_path))
    found = decontamination.TestTexts(str(tmp_path))
    body = json.loads((shared_data / "tasks" / "cmrc2018" / "cmrc2018_dev.json").read_text(encoding="utf-8"))
    contexts = [paragraph["context"] for article in body["data"] for paragraph in article["paragraphs"]]
    assert all(matches(found, contexts))
    with gzip.open(
        shared_data / "corpus" / "wiki_paragraphs_hant.jsonl.gz", "rt", encoding="utf-8"
    ) as stream:
        assert not any(matches(found, [json.loads(line)["text"] for line in stream]))
