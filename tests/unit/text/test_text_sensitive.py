"""Sensitive data: what is masked, what only looks like it."""

from __future__ import annotations

import pytest

from mobilebert.text import sensitive

PHONE, ID, EMAIL = sensitive.FORMS["phone"], sensitive.FORMS["id_card"], sensitive.FORMS["email"]


@pytest.mark.parametrize(
    ("text", "masked", "kinds"),
    [
        ("电话13812345678，找老王", f"电话{PHONE}，找老王", {"phone": 1}),
        ("+86 138-1234-5678或138 1234 5678", f"{PHONE}或{PHONE}", {"phone": 2}),
        ("0086-13812345678或手机-13812345678", f"{PHONE}或手机-{PHONE}", {"phone": 2}),
        ("型号AB-13812345678，20-13812345678", "型号AB-13812345678，20-13812345678", {}),
        ("座机010-61621944转", f"座机{PHONE}转", {"phone": 1}),
        ("(0571)88157838；021-5888888", f"{PHONE}；{PHONE}", {"phone": 2}),
        ("客服400-810-8888", f"客服{PHONE}", {"phone": 1}),
        # The example of GB 11643-1999, whose check character is X, and the same with another check character.
        ("身份证11010519491231002X。", f"身份证{ID}。", {"id_card": 1}),
        ("编号110105194912310021。", "编号110105194912310021。", {}),
        ("写信到li.ming+a@mail.example.org。", f"写信到{EMAIL}。", {"email": 1}),
        (
            "公元1949年10月1日，人口1382345678人，3.1415926535897",
            "公元1949年10月1日，人口1382345678人，3.1415926535897",
            {},
        ),
        ("写信到user＠163.com、zhang．san＠qq．com", f"写信到{EMAIL}、{EMAIL}", {"email": 2}),
        ("（010）6234 5678，010－62345679－802", f"{PHONE}，{PHONE}", {"phone": 2}),
        ("＋86 13912345678或（+86）139－1234－5678", f"{PHONE}或{PHONE}", {"phone": 2}),
        ("400－810－8888，0571—8815 7838", f"{PHONE}，{PHONE}", {"phone": 2}),
        ("张三＠李四，2010－2019年，3月（2010）8888", "张三＠李四，2010－2019年，3月（2010）8888", {}),
        ("订单号2013812345678901", "订单号2013812345678901", {}),
        ("@小明 你好 a@b", "@小明 你好 a@b", {}),
        ("2018-2019-2020，第00123号", "2018-2019-2020，第00123号", {}),
    ],
)
def test_numbers_and_addresses_of_people_get_a_fixed_form(text, masked, kinds):
    assert sensitive.mask(text) == (masked, kinds)


def test_masking_again_changes_nothing():
    once, _ = sensitive.mask("13812345678、11010519491231002X、a@b.cn、010-61621944")
    assert sensitive.mask(once) == (once, {})


@pytest.mark.parametrize("digits", ["11010519491231002", "44052418800101001"])
def test_exactly_one_check_character_fits(digits):
    assert sum(sensitive.checked(digits + check) for check in "0123456789X") == 1
