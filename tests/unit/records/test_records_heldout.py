"""The held-out share that came out is said beside the one asked for."""

from __future__ import annotations

import pytest

from mobilebert.records import heldout


@pytest.mark.parametrize(
    ("held", "level"), [(20, "INFO"), (10, "INFO"), (40, "INFO"), (9, "WARNING"), (50, "WARNING")]
)
def test_a_share_far_from_the_one_asked_for_is_a_warning(caplog, held, level):
    with caplog.at_level("INFO"):
        heldout.log_share({"train_sequences": 1000 - held, "heldout_sequences": held}, 0.02)
    assert [record.levelname for record in caplog.records] == [level]
    assert f"{held} records are held out, {held / 1000:.2%}; records.heldout_share is 2.00%" in caplog.text


def test_the_documents_are_named_where_they_are_known(caplog):
    counts = {"train_sequences": 5, "heldout_sequences": 5, "heldout_documents": 1}
    heldout.log_share(counts, 0.02)
    assert "5 records of 1 documents are held out, 50.00%" in caplog.text
