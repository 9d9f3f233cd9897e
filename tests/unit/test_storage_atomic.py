"""Files that appear whole or not at all, and one spelling of JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilebert.storage import atomic


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_is_written_with_its_folder_and_nothing_else(tmp_path: Path) -> None:
    atomic.write_atomically(tmp_path / "x" / "a.txt", b"new")
    assert names(tmp_path / "x") == ["a.txt"]


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_name_is_there_only_when_the_block_has_ended(tmp_path: Path, exclusive: bool) -> None:
    with atomic.replacing(tmp_path / "a", exclusive=exclusive) as temporary:
        temporary.write_bytes(b"new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_an_exception_leaves_the_old_bytes_and_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> None:
        with atomic.replacing(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_name_that_is_taken_is_never_replaced_exclusively(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError), atomic.replacing(tmp_path / "a", exclusive=True) as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_equal_values_are_equal_bytes_of_json() -> None:
    assert atomic.canonical_json({"b": 1, "a": "字"}) == '{\n "a": "字",\n "b": 1\n}\n'.encode()
    assert atomic.canonical_json({"a": "字", "b": 1}) == atomic.canonical_json({"b": 1, "a": "字"})
