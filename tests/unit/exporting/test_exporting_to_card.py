"""The code that a published card shows runs on what is published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mobilebert.exporting.checking import check
from mobilebert.publishing.release import collect
from mobilebert.publishing.target import open_storage
from mobilebert.publishing.upload import publish
from mobilebert.settings import Export, Publish


def test_code_of_the_card_runs(
    directory: Path,
    tflite: Path,
    model: Path,
    settings: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    exports = {"transformers": directory, "tflite": tflite}
    for form, folder in exports.items():
        check(model, folder, form, settings, tmp_path / "checks" / form)
    release = collect(
        "mini",
        Publish(version="1.0"),
        list(exports.values()),
        [tmp_path / "checks" / form for form in exports],
        None,
        {},
    )
    publish(release, open_storage(str(tmp_path / "published")))
    monkeypatch.chdir(tmp_path / "published/mini/1.0")
    card = Path("README.md").read_text(encoding="utf-8")
    assert "50.0% of 100 masked tokens" in card
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        if "output" in names:
            assert names["output"].shape == (1, 32, 32)
        else:
            ids = names["tokenizer"]("秋天到了", return_tensors="pt")
            assert names["model"](**ids).logits.shape[:2] == ids["input_ids"].shape
