"""Every objective, in float32 or bfloat16, on two devices that take their share in rounds against one
device; and their measures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By objective, and for the measures, what one device and two came to."""
    tests = Path(__file__).resolve().parents[1]
    program, file = (
        tests / "unit" / "distillation" / "replicated.py",
        tmp_path_factory.mktemp("replicated") / "found.json",
    )
    environment = os.environ | {"PYTHONPATH": str(tests.parent), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(program), str(file)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(file.read_text()))


def test_two_devices_in_rounds_give_the_losses_of_one_at_once_for_every_objective(
    found: dict[str, Any],
) -> None:
    """Three steps each.

    Relative tolerances: 1e-4 in float32 (sums in another order), 2e-2 in bfloat16 (8 bits of a product).
    """
    assert len(found) == 5 + 1
    for name in found.keys() - {"measures"}:
        one, two = found[name]
        assert np.shape(one) == (3, 2)
        np.testing.assert_allclose(two, one, rtol=2e-2 if "bfloat16" in name else 1e-4, err_msg=name)


def test_two_devices_measure_and_predict_as_one_does(found: dict[str, Any]) -> None:
    """Seven held-out records and seven examples in batches of three, which two devices take as four: 1e-6
    relative.
    """
    one, two = found["measures"]
    assert (one["batches"], two["batches"]) == ([3, 3, 1], [4, 3])
    assert one["predictions"] == two["predictions"] == sum(row % 4 for row in range(7))
    assert one["masked_accuracy"] == two["masked_accuracy"]
    assert two["masked_loss"] == pytest.approx(one["masked_loss"], rel=1e-6)
    np.testing.assert_allclose(two["logits"], one["logits"], rtol=1e-6, atol=1e-7)
    assert np.ptp(one["logits"], axis=0).min() > 1e-3, "the examples differ"
