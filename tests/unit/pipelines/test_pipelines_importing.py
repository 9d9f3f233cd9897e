"""Imports that bring Beam."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys

import pytest

from mobilebert.pipelines import importing


def test_garbage_is_not_looked_for_while_importing_and_is_afterwards() -> None:
    with importing.quickly():
        assert not gc.isenabled()
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    assert gc.isenabled()
    assert frozen


def test_an_import_that_fails_leaves_all_as_it_was() -> None:
    before = logging.root.manager.disable
    with pytest.raises(ImportError), importing.quickly():
        raise ImportError
    gc.unfreeze()
    assert gc.isenabled()
    assert logging.root.manager.disable == before


def test_notices_are_heard_again(caplog: pytest.LogCaptureFixture) -> None:
    with importing.quickly():
        logging.warning("while importing")
    gc.unfreeze()
    logging.warning("afterwards")
    assert [record.message for record in caplog.records] == ["afterwards"]


def test_libraries_that_beam_would_import_and_nobody_uses_are_left_out_until_someone_does() -> None:
    """In a fresh process, since this one may have imported them."""
    program = """
import sys
from mobilebert.pipelines import importing
with importing.quickly():
    import apache_beam
    import pyarrow
pyarrow.array(["a"])
assert {"pandas", "bson"}.isdisjoint(sys.modules)
table = pyarrow.table({"a": [1, 2]}).to_pandas()
assert sys.modules["pandas"].DataFrame is type(table)
assert list(table["a"]) == [1, 2]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_library_that_is_there_already_stays() -> None:
    import pandas

    with importing.quickly():
        assert sys.modules["pandas"] is pandas
    gc.unfreeze()
    assert sys.modules["pandas"] is pandas
