"""Imports that bring Beam."""

from __future__ import annotations

import gc
import logging

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
