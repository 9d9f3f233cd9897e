"""`corpus.script`: what is counted, converted and dropped on the whole road."""

from __future__ import annotations

import json

import pytest

TEXTS = {
    "taiwan": "老師看著孩子們在操場上跑，心裡很著急，因為他的著作還放在教室裡，雨已經落下來了。",
    "hong_kong": "老師看着孩子們在操場上跑，後來他們都說，這本書的著者對學生很好，裏面寫的都是真話。",
    "county": "乾安县的干部们说，乾隆年间这里还没有人家，后来乾清宫的匠人来了，才有了现在的样子。",
    "mixed": "乾县的客人们说这里的饭菜很好，后来他们又来了几次。\n"
    "這裡的餅乾很乾，他們說後來沒有人買，老闆就不做了，還說要開別的店。",
}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [json.dumps({"id": name, "text": text}, ensure_ascii=False) for name, text in TEXTS.items()]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_scripts_are_counted_and_texts_kept_by_default(source, clean):
    cleaned = clean(source)
    assert list(cleaned.texts.values()) == list(TEXTS.values())
    assert cleaned.funnel["total"]["scripts"] == {"mixed": 1, "simplified": 1, "traditional": 2}
    assert cleaned.funnel["total"]["simplified"] == {"documents": 0, "characters": 0}


def test_traditional_text_alone_is_simplified_and_its_changes_counted(source, clean):
    cleaned = clean(source, corpus={"script": "simplify"})
    texts = list(cleaned.texts.values())
    assert texts[0] == ("老师看着孩子们在操场上跑，心里很着急，因为他的著作还放在教室里，雨已经落下来了。")
    assert "看着孩子们" in texts[1]
    assert "著者对学生很好，里面" in texts[1]
    assert texts[2] == TEXTS["county"]
    assert texts[3].split("\n")[0] == TEXTS["mixed"].split("\n")[0]
    assert texts[3].split("\n")[1].startswith("这里的饼干很干，他们说后来没有人买")
    changed = sum(
        a != b
        for one, other in zip(TEXTS.values(), texts, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    assert cleaned.funnel["total"]["simplified"] == {"documents": 3, "characters": changed}
    assert cleaned.funnel["total"]["scripts"] == {"mixed": 1, "simplified": 1, "traditional": 2}


def test_traditional_documents_go_where_they_are_not_wanted(source, clean):
    cleaned = clean(source, corpus={"script": "drop_traditional"})
    assert list(cleaned.texts.values()) == [TEXTS["county"], TEXTS["mixed"]]
    assert cleaned.funnel["total"]["reasons"]["traditional"]["documents"] == 2
    assert cleaned.funnel["total"]["scripts"]["traditional"] == 2
