"""Every objective, in float32 or bfloat16, on two devices that take their share in rounds against one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def test_two_devices_in_rounds_give_the_losses_of_one_at_once_for_every_objective(tmp_path: Path) -> None:
    """Three steps each. Relative tolerances: 1e-4 in float32 (sums in another order), 2e-2 in bfloat16 (8 bits of a product)."""
    tests = Path(__file__).resolve().parents[1]
    program = tests / "unit" / "distillation" / "replicated.py"
    environment = os.environ | {"PYTHONPATH": str(tests.parent), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(program), str(tmp_path / "rows.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "rows.json").read_text())
    assert len(found) == 5
    for name, (one, two) in found.items():
        assert np.shape(one) == (3, 2)
        np.testing.assert_allclose(two, one, rtol=2e-2 if "bfloat16" in name else 1e-4, err_msg=name)
