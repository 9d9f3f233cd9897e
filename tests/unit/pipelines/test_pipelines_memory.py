"""What is asked of the C library."""

from __future__ import annotations

import ctypes

import pytest

from mobilebert.pipelines import memory


def test_glibc_takes_the_values() -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        pytest.skip("this C library has no mallopt")
    asked = []

    class Library:
        def mallopt(self, what: int, value: int) -> int:
            asked.append((what, library.mallopt(what, value)))
            return 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctypes, "CDLL", lambda _: Library())
        memory.keep_freed()
    assert asked == [(-1, 1), (-3, 1)]  # 0: refused


@pytest.mark.parametrize("found", [object(), OSError("no such library")])
def test_other_libraries_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """As musl's and macOS's, which have no mallopt."""

    def opened(_: None) -> object:
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(ctypes, "CDLL", opened)
    memory.keep_freed()
