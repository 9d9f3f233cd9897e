"""Which script a text is written in, and gold lines of what becomes of it in Simplified characters."""

from __future__ import annotations

import pytest

from mobilebert.text import script


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("这里的人们说，后来他们都回去了。", "simplified"),
        ("這裡的人們說，後來他們都回去了。", "traditional"),
        ("这里的人们说，後來他們都回去了。", "mixed"),
        ("上山的人一早就走了。", "neither"),
        ("", "neither"),
        ("乾隆皇后只在公里，著作干面台", "neither"),  # both scripts write these
        ("他写了一个" + "说说们说这这" * 3 + "，題字是「國」。", "simplified"),  # a quotation of two
    ],
)
def test_a_script_is_told_by_what_one_of_the_two_alone_writes(text, name):
    assert script.names([text]) == [name]


def test_each_of_many_texts_is_counted_alone():
    texts = ["这说", "", "這說們", "一", "\n", "國这"]
    assert script.counts(texts).tolist() == [[2, 0], [0, 0], [0, 3], [0, 0], [0, 0], [1, 1]]
    assert script.names([]) == []


GOLD = [
    # 乾 and 干
    ("乾隆年間，乾清宮裡的乾果很乾淨。", "乾隆年间，乾清宫里的干果很干净。"),
    ("乾安縣和乾縣的幹部在乾坤之間說話，與此無干。", "乾安县和乾县的干部在乾坤之间说话，与此无干。"),
    # 著 and 着: Taiwan writes 著 for both, Hong Kong both
    ("他看著窗外，著急地催著編輯，不著手寫著作。", "他看着窗外，着急地催着编辑，不着手写著作。"),
    ("著名的土著學者所著的原著是名著，成績卓著。", "著名的土著学者所著的原著是名著，成绩卓著。"),
    (
        "這部小說為他所著，他還專於繪畫，著有文集，看著有趣。",
        "这部小说为他所著，他还专于绘画，著有文集，看着有趣。",
    ),
    ("派出所著手調查廁所著火的事，還編著辮子。", "派出所着手调查厕所着火的事，还编着辫子。"),
    ("他看着門外，說這部著作的編著者很顯著。", "他看着门外，说这部著作的编著者很显著。"),
    ("衞生署說，這部編著很著名。", "卫生署说，这部编著很著名。"),
    # 發 and 髮
    ("理髮的師傅發現頭髮發黃了。", "理发的师傅发现头发发黄了。"),
    # 後 and 后
    ("皇后和太后後來走在王后後面，前後都是后土祠。", "皇后和太后后来走在王后后面，前后都是后土祠。"),
    # 裡, 裏 and 里
    ("這裡離家裏十公里，鄰里都來了。", "这里离家里十公里，邻里都来了。"),
    # 麵 and 面
    ("他對面的人吃麵條和麵包，很有面子。", "他对面的人吃面条和面包，很有面子。"),
    # 隻 and 只
    ("只有兩隻貓隻身過河，船隻都走了。", "只有两只猫只身过河，船只都走了。"),
    # words stay: 軟體 is no 软件
    ("這個軟體在網路上。", "这个软体在网路上。"),
]


@pytest.mark.parametrize(("traditional", "simplified"), GOLD)
def test_a_traditional_line_becomes_the_simplified_one(traditional, simplified):
    assert script.names([traditional]) == [script.TRADITIONAL]
    assert script.simplify(traditional, script.TRADITIONAL) == simplified


@pytest.mark.parametrize("simplified", [line for _, line in GOLD])
def test_a_simplified_line_stays_as_it_is(simplified):
    (name,) = script.names([simplified])
    assert name == script.SIMPLIFIED
    assert script.simplify(simplified, name) == simplified


def test_of_a_mixed_text_the_traditional_lines_alone_are_converted():
    text = "乾县的人们说这里很好。\n這裡的餅乾很乾。\n乾了\n台湾（臺灣）的乾县人说话。"
    assert script.names([text]) == [script.MIXED]
    assert script.simplify(text, script.MIXED).split("\n") == [
        "乾县的人们说这里很好。",
        "这里的饼干很干。",
        "乾了",
        "台湾（臺灣）的乾县人说话。",
    ]


def test_a_simplified_line_of_a_traditional_text_stays_as_it_is():
    text = (
        "這裡的人們說，後來他們都回去了，還說過幾個國家的歷史，現在這裡沒有誰會種這樣的樹了。\n乾了\n乾县话"
    )
    assert script.names([text]) == [script.TRADITIONAL]
    assert script.simplify(text, script.TRADITIONAL).split("\n")[1:] == ["干了", "乾县话"]


def test_changed_characters_are_counted():
    assert script.changes("看著門", script.simplify("看著門", script.TRADITIONAL)) == 2
    assert script.changes("看着门", "看着门") == 0
