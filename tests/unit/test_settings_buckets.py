"""Bucket names: Google's rules, in every setting and command that takes gs://."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mobilebert.errors import UserError
from mobilebert.settings import Settings
from mobilebert.settings.buckets import check_bucket
from mobilebert.storage.bucket import BucketStorage


@pytest.mark.parametrize(
    "address",
    ["gs://abc", "gs://my-bucket/a/桶", "gs://my_bucket1", "gs://0-0", "gs://data.example.com/x", "a/b",
     "数据", f"gs://{'a' * 63}", f"gs://{'a' * 63}.{'b' * 63}", "gs://1.2.3", "https://example.com"],
)  # fmt: skip
def test_what_can_be_is_taken(address: str) -> None:
    assert check_bucket(address) == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("gs://桶/x", "not 桶"),
        ("gs://My-Bucket/x", "not B M"),
        ("gs://$BUCKET/x", r"not \$ B C E K T U"),
        ("gs://a b c/", "not  "),
        ("gs://a/", "not 1"),
        ("gs://ab", "not 2"),
        (f"gs://{'a' * 64}", "not 64"),
        (f"gs://{'a' * 64}.b", "between two dots"),
        ("gs://a..b", "between two dots"),
        ("gs://_abc", "begins and ends"),
        ("gs://abc-/x", "begins and ends"),
        ("gs://abc./x", "begins and ends"),
        ("gs://192.168.5.4/x", "IP address"),
        ("gs://goog-data", "goog"),
        ("gs://my-g00gle-data", "google"),
        ("gs://", "names no bucket"),
        ("gs:///prefix", "names no bucket"),
        ("gs://gs://abc", "not :"),
        ("gs:/abc", "write gs://BUCKET"),
        ("GS://abc", "write gs://BUCKET"),
    ],
)
def test_what_cannot_be_is_refused_with_the_rule(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_bucket(address)


def test_all_that_is_wrong_with_a_name_is_said() -> None:
    with pytest.raises(ValueError, match=r"not A.*begins and ends.*not 2"):
        check_bucket("gs://A-")


@pytest.mark.parametrize(
    "body",
    [
        {"publish": {"to": "gs://桶/x"}},
        {"state_bucket": "gs://桶/x"},
        {"beam": {"work": "gs://桶/x"}},
        {"sources": [{"name": "a", "from": "gs://桶/x"}]},
        {"beam": {"pipeline_options": ["--temp_location=gs://桶/x"]}},
    ],
    ids=str,
)
def test_every_setting_that_takes_a_bucket_refuses_one_that_cannot_be(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="no bucket can be called '桶'"):
        Settings.model_validate(body)


def test_a_command_that_takes_a_bucket_refuses_it_too() -> None:
    with pytest.raises(UserError, match="--state: 'gs://桶/x': no bucket can be called '桶'"):
        BucketStorage("gs://桶/x", setting="--state")


@pytest.mark.parametrize("path", ["D:\\text\\a.jsonl", "D:/text", "\\\\server\\text", "~/text", "“a.txt”"])
def test_paths_that_are_none_here_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"sources": [{"name": "a", "from": path}]})
