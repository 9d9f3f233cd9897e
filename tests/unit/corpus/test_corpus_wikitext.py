"""What a wiki shows of links, templates and tags."""

from __future__ import annotations

import pytest

from mobilebert.corpus.readers import wikitext, wikitext_kinds, wikitext_links


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[[甲|乙]]们", "乙们"),
        ("[[甲#乙]]", "甲#乙"),
        ("[[:en:A]]", "en:A"),
        ("[[wikt:水|水]]和[[s:史记|《史记》]]和[[Wikipedia:沙盒|沙盒]]", "水和《史记》和沙盒"),
        ("甲[[ja:乙]][[zh-min-nan:丙]][[simple:D]]", "甲"),
        ("甲[[檔案:a.jpg|thumb|图[[乙]]说]][[Image:b.png]][[分類:丙]][[category:D|e]]", "甲"),
        ("[[CSI:迈阿密]]、[[No:6]]、[[NHK:BS]]、[[是:甲]]", "CSI:迈阿密、No:6、NHK:BS、是:甲"),
        ("[[Help:目录|]]、[[甲 (乙)|]]、[[甲（乙）|]]、[[巴黎, 德州|]]", "目录、甲、甲、巴黎"),
        ("[[媒体:a.ogg|听]]", "听"),
        ("[http://a.example 甲]乙", "甲乙"),
    ],
)
def test_a_link_is_shown_as_the_wiki_shows_it(source, text):
    assert wikitext.plain(source) == text


def test_namespaces_that_the_wiki_names_itself_are_known():
    own = wikitext_links.NAMESPACES | {"datei": 6}
    assert wikitext.plain("甲[[Datei:a.jpg|图]]", namespaces=own) == "甲"
    assert wikitext.plain("甲[[Datei:a.jpg|图]]") == "甲图"


@pytest.mark.parametrize(
    ("title", "number"),
    [("甲", 0), ("Re:甲", 0), ("模板:甲", 10), ("User talk:A", 1), ("讨论:甲", 1), ("使用者討論:甲", 1)],
)
def test_a_title_tells_the_namespace(title, number):
    assert wikitext_links.namespace(title, wikitext_links.NAMESPACES) == number


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{formatnum:12345}}", "12345"),
        ("{{formatnum:12,345|R}}", "12345"),
        ("{{formatnum:{{formatnum:12,345|R}}}}", "12345"),
        ("{{formatnum|12345}}", "12345"),
        ("{{convert|5|-|8|km2}}", "5-8km²"),
        ("{{convert|5|ft|10|in|m|0}}", "5ft10in"),
        ("{{cvt|20|C|F|1}}", "20°C"),
        ("{{val|1.5|e=6|u=m/s}}", "1.5×10^6m/s"),
        ("{{frac|1|2}}", "1/2"),
        ("{{bd|1900年|1月2日|1980年|3月4日|x}}", "1900年1月2日－1980年3月4日"),
        ("{{bd|1900年|1月2日}}", "1900年1月2日－"),
        ("{{bd|[[1900年]]|[[1月2日]]}}", "1900年1月2日－"),
        ("{{convert|{{formatnum:12}}|km}}、{{tmath|a{{=}}1}}、{{tmath|1=a=1}}", "12km、[公式]、a=1"),
        ("{{birth date|1900|01|2}}", "1900年1月2日"),
        ("{{截至|2010年}}", "截至2010年"),
        ("{{age|1900|5|5|1920|5|4}}", "19"),
        ("{{coord|30|15|N|120|10|E}}", "30°15′N 120°10′E"),
        ("甲{{coord|30|N|120|E|display=title}}", "甲"),
        ("{{quote|text=甲。|author=乙}}", "甲。"),
        ("{{Blockquote|甲|乙}}", "甲"),
        ("{{引文|甲}}", "甲"),
        ("{{rquote|left|甲|乙}}", "甲"),
        ("{{lang-ja|甲}}、{{Lang|ja|乙}}、{{langx|ja|丙}}", "甲、乙、丙"),
        ("{{le|甲|A}}、{{le|甲|A|乙}}、{{Link-ja|甲|A}}", "甲、乙、甲"),
        ("{{tsl|en|A|甲}}、{{tsl|en|A||乙}}、{{tsl|en|A}}、{{仮リンク|甲|en|A}}", "甲、乙、A、甲"),
        ("{{internal link helper/en|甲|A}}、{{link-interwiki|zh=甲|lang=en|lang_title=A}}", "甲、甲"),
        ("{{color|red|甲}}、{{nowrap|乙}}、{{黑幕|丙}}", "甲、乙、丙"),
        ("{{chem|S|O|4|2-}}", "SO42-"),
        ("甲{{*|乙。}}", "甲（乙。）"),
        ("甲{{·}}乙{{!}}", "甲·乙|"),
        ("{{US$|80}}", "US$80"),
        ("'''{{PAGENAME}}'''是剑", "题是剑"),
        ("甲{{cite|x= |}}{{fact}}{{sfn|a|b}}{{coord missing}}", "甲"),
        ("甲（{{zh|s=x}}，乙，{{CV}}）", "甲（乙）"),
    ],
)
def test_a_template_shows_its_words(source, text):
    assert wikitext.plain(source, title="题") == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"由<math>\frac{a}{b_{c}}</math>得{{quote|<math>x^{2^{n}}</math>甲}}", "由[公式]得[公式]甲"),
        ("由<math>E=mc^2</math>和{{quote|<math>a=1</math>}}得", "由E=mc^2和a=1得"),
        ("得到：\n:<math>\\alpha</math>（1）\n其中", "得到：[公式]\n其中"),
        ('若<math display="block">0 < x</math>且<math>\\,</math>', "若0 < x且"),
        ("{{sqrt|2}}、{{nts|1200}}", "√2、1200"),
        ("完了。\n:<math>\\alpha</math>\n另外", "完了。\n另外"),
        ("10<sup>−6</sup>米<sup>2</sup>，H<sub>2</sub>O", "10^−6米2，H2O"),
        ("用<code>print</code>和<syntaxhighlight lang=c inline>x;</syntaxhighlight>", "用print和x;"),
        ("甲<syntaxhighlight>\n{{{{ [[\n</syntaxhighlight>乙", "甲乙"),
        ('甲<span style="display: none">0</span>乙', "甲乙"),
        ("甲&nbsp;乙&#8212;&euro;", "甲\xa0乙—€"),
        ("{{cite|title=x|}}甲\n{|\n|}\n乙", "甲\n乙"),
        ("<poem>\n床前明月光，\n疑是地上霜。\n</poem>", "床前明月光，\n疑是地上霜。"),
    ],
)
def test_a_tag_shows_its_words(source, text):
    assert wikitext.plain(source) == text


@pytest.mark.parametrize(
    ("source", "whole"),
    [
        ("{{Disambig}}", True),
        ("{{Species Latin name disambiguation}}", True),
        ("{{letter-NumberCombDisambig}}", True),
        ("{{譯名消歧義|a}}", True),
        ("__DISAMBIG__", True),
        ("{{Disambiguation needed}}", False),
        ("{{Needs disambiguation}}", False),
        ("{{无需消歧义}}", False),
        ("{{消歧义链接}}", False),
        ("<!-- {{disambig}} -->", False),
    ],
)
def test_a_template_of_a_whole_page_makes_a_disambiguation_page(source, whole):
    assert wikitext_kinds.is_disambiguation("题", f"题可以指：{source}") == whole


@pytest.mark.parametrize(
    "name", ["{{" + "_" * 200_000, "{{" * 100_000 + "消歧", "{{" + "a " * 200_000 + "}}"]
)
def test_a_hostile_name_of_a_template_is_judged(name):
    assert not wikitext_kinds.is_disambiguation("题", name)
