"""`scripts.export_teacher`: a sound teacher passes with its weights as they are; a random head or a
foreign vocabulary does not.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mobilebert import models
from mobilebert.distillation import compatibility
from mobilebert.errors import UserError
from mobilebert.models import configs
from mobilebert.storage import artifacts
from mobilebert.tokenization import SPECIAL, files
from scripts import export_teacher

SECTIONS = ("teacher.min_head_lift", "masking", "training", "seed")


def arguments(chain, out, min_head_lift, tokenizer=None, source=None, needs="[]", original=()):
    settings = chain.settings(*SECTIONS, teacher={"min_head_lift": min_head_lift})
    folders = [
        "--records",
        chain.records,
        "--tokenizer",
        tokenizer or chain.tokenizer,
        "--source",
        source or chain.teacher,
    ]
    return ["--settings", settings, *folders, "--needs", needs, "--original", *original, "--out", out]


def test_a_teacher_that_passes_keeps_its_weights_and_gets_its_measure(chain, command, tmp_path):
    out = tmp_path / "teacher"
    command(export_teacher, *arguments(chain, out, -1))
    assert artifacts.read(out, "model").inputs["source"] == artifacts.digest(chain.teacher)
    source, found = models.weights.load(chain.teacher), models.weights.load(out)
    for name, variable in source.variables_by_name.items():
        np.testing.assert_array_equal(found.variables_by_name[name].numpy(), variable.numpy())
    evaluation = json.loads((out / "evaluation.json").read_text())
    heldout, parity = evaluation["heldout"], evaluation["parity"]
    assert parity["checked"]
    assert parity["tokens"] > 20
    assert max(parity["hidden"], parity["logits"]) < 1e-9
    assert 0 <= heldout["masked_accuracy"] < 0.2
    assert heldout["masked_loss"] == pytest.approx(np.log(source.config.vocab_size), rel=0.1)


def test_a_random_head_is_refused_with_one_line_and_nothing_is_written(chain, root, tmp_path):
    out = tmp_path / "teacher"
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts.export_teacher",
            *map(str, arguments(chain, out, 0.1)),
            "--threads",
            "2",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert shown.returncode == 1
    (line,) = [line for line in shown.stderr.splitlines() if "ERROR" in line]
    assert f"{chain.teacher}: its MLM head looks random" in line
    assert "teacher.min_head_lift" in line
    assert "Traceback" not in shown.stderr
    assert not artifacts.exists(out)


def test_a_teacher_with_another_vocabulary_of_the_same_size_is_refused(chain, command, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(chain.teacher, source)
    tokens = files.read_vocabulary(source / "vocab.txt")
    with artifacts.writing(source, "model") as writer:
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(chain.teacher / name, writer.path(name))
        files.write(
            writer,
            "wordpiece",
            ("\n".join([*SPECIAL, *reversed(tokens[len(SPECIAL) :])]) + "\n").encode(),
            True,
        )
    with pytest.raises(UserError, match=rf"the tokenizer of {source} is not the one of {chain.tokenizer}"):
        command(export_teacher, *arguments(chain, tmp_path / "teacher", -1, source=source))


def test_a_teacher_of_another_depth_is_refused_with_what_to_change(chain, command, tmp_path):
    needs = json.dumps([compatibility.needs(configs.named("base-f2", 1))])
    with pytest.raises(UserError) as refused:
        command(export_teacher, *arguments(chain, tmp_path / "teacher", -1, needs=needs))
    lines = str(refused.value).splitlines()
    assert [
        word in line
        for word, line in zip(("4 layers", "4 attention heads", "128 as hidden size"), lines, strict=True)
    ] == [True] * 3
    assert "a student with 4 (students)" in lines[0]
    assert not artifacts.exists(tmp_path / "teacher")
    command(
        export_teacher,
        *arguments(
            chain, tmp_path / "teacher", -1, needs=json.dumps([compatibility.needs(configs.named("mini", 1))])
        ),
    )


@pytest.mark.parametrize("wrong", ["transposed", "gelu"])
def test_an_import_that_misread_the_source_is_refused(chain, command, tmp_path, wrong):
    source = tmp_path / "original"
    shutil.copytree(chain.teacher, source)
    if wrong == "gelu":
        config = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu_new"}))
    else:
        tensors = load_file(source / "model.safetensors")
        name = "mobilebert.encoder.layer.1.attention.self.query.weight"
        save_file(tensors | {name: np.ascontiguousarray(tensors[name].T)}, source / "model.safetensors")
    with pytest.raises(UserError, match="from a plain NumPy forward on the source's tensors"):
        command(export_teacher, *arguments(chain, tmp_path / "teacher", -1, original=[source]))
    assert not artifacts.exists(tmp_path / "teacher")
