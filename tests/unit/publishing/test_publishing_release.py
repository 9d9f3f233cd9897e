"""What goes into a version, and how it is named."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from mobilebert.errors import UserError
from mobilebert.publishing.release import Release, collect
from mobilebert.settings import Publish
from mobilebert.storage import artifacts
from mobilebert.storage.objects import of_bytes
from tests.made_up_exports import make_export, make_exports, write_scores


def read(release: Release, path: str) -> bytes:
    with release.files[path].open() as stream:
        return stream.read()


def test_crc32c_is_written_as_cloud_storage_writes_it() -> None:
    # RFC 3720 B.4: 32 bytes of zeros have the CRC32C 8a9136aa.
    assert base64.b64decode(of_bytes(bytes(32)).crc32c).hex() == "8a9136aa"


def test_release_json_lists_every_other_file_and_stands_last(release: Callable[..., Release]) -> None:
    made = release(b"weights")
    assert next(iter(made.files)) == "README.md"
    assert list(made.files)[-1] == "release.json"
    body = json.loads(read(made, "release.json"))
    assert set(body["files"]) == {
        "README.md",
        "transformers/config.json",
        "transformers/model.safetensors",
        "tflite/model.tflite",
    }
    entry = body["files"]["transformers/model.safetensors"]
    assert (entry["size"], entry["sha256"]) == (7, hashlib.sha256(b"weights").hexdigest())
    assert body["version"] == made.version
    assert set(body["exports"]) == set(body["checks"]) == {"transformers", "tflite"}


def test_automatic_version_follows_the_bytes_and_nothing_else(
    release: Callable[..., Release], tmp_path: Path
) -> None:
    first, again, other = release(b"weights"), release(b"weights"), release(b"Weights")
    assert first.version == again.version != other.version
    assert read(first, "release.json") == read(again, "release.json")
    assert len(first.version) == 12
    assert int(first.version, 16) >= 0
    scored = release(b"weights", scores=write_scores(tmp_path / "scores.tsv"))
    assert scored.version != first.version, "another card is other content, so it must have its own version"


def test_no_path_of_the_machine_is_published(release: Callable[..., Release], tmp_path: Path) -> None:
    made = release()
    for path in ("README.md", "release.json"):
        assert str(tmp_path) not in read(made, path).decode()
    assert made.record("published")["destination"] == f"published/mini/{made.version}"


def test_card_says_what_it_is_how_good_and_from_where(
    release: Callable[..., Release], tmp_path: Path
) -> None:
    made = release(scores=write_scores(tmp_path / "scores.tsv"))
    card = read(made, "README.md").decode()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["language"], head["library_name"]) == ("apache-2.0", "zh", "transformers")
    assert "1,234,567 parameters" in card
    assert "| chnsenticorp | accuracy | 87.1% | 0.4% | 3 | 51.2% | 1161 |" in card
    assert "91.2%" not in card, "another model's score"
    assert "42.1% of 9,216 masked tokens" in card
    assert made.exports["tflite"] in card
    assert "| 百科 | CC-BY-SA-4.0 |" in card
    assert made.version in card


@pytest.mark.parametrize("version", ["../up", "a/b", "", ".hidden"])
def test_version_that_is_no_folder_name_is_refused(version: str) -> None:
    with pytest.raises(ValidationError, match="version"):
        Publish(version=version)


def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model's name"):
        collect("../up", Publish(), *make_exports(tmp_path), None, {})


def test_unchecked_or_failed_export_is_refused(tmp_path: Path) -> None:
    exports, checks = make_exports(tmp_path / "a")
    with pytest.raises(UserError, match="no check of this export"):
        collect("mini", Publish(), exports, checks[:1], None, {})
    _, other_checks = make_exports(tmp_path / "b", b"others")
    with pytest.raises(UserError, match="of another export"):
        collect("mini", Publish(), exports, other_checks, None, {})
    export, check = make_export(tmp_path / "c", "tflite", {"model.tflite": b"flat"}, passed=False)
    with pytest.raises(UserError, match="did not pass"):
        collect("mini", Publish(), [export], [check], None, {})


def test_exports_of_two_models_are_refused(tmp_path: Path) -> None:
    one = make_export(tmp_path / "a", "tflite", {"model.tflite": b"flat"}, model="mini")
    two = make_export(tmp_path / "b", "transformers", {"config.json": b"{}"}, model="other")
    with pytest.raises(UserError, match="different models"):
        collect("mini", Publish(), [one[0], two[0]], [one[1], two[1]], None, {})


def test_damaged_export_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    exports, checks = make_exports(tmp_path)
    (exports[0] / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(artifacts.ArtifactError, match=r"model\.safetensors"):
        collect("mini", Publish(), exports, checks, None, {})
