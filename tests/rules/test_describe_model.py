"""`describe_model`: counts of the published models, from a name, an original file or a folder."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from mobilebert import models
from mobilebert.errors import UserError
from mobilebert.models import configs, model_size
from scripts import describe_model
from tests.small_models import make_model
from tests.tf1_checkpoints import body


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    describe_model.main(describe_model.parser().parse_args([str(argument) for argument in arguments]))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "parameters", "size"),
    [
        ("base-f2", "26,260,424", "105.1"),
        ("base-f4", "32,232,584", "129.0"),
        ("large-f2", "40,683,144", "162.8"),
        ("large-f4", "52,925,064", "211.8"),
    ],
)
def test_published_counts_and_measured_sizes_are_printed(
    name: str, parameters: str, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, name)
    lines = {line.rsplit("  ", 1)[0].strip(): line.split()[-1] for line in text.splitlines()}
    assert lines["parameters (no pooler, no NSP)"] == parameters
    assert lines["MB of model.safetensors in float32"] == size  # measured on the published files
    (row,) = [line.split() for line in printed(capsys, "--all").splitlines() if line.startswith(f"{name} ")]
    assert row[2] == parameters
    assert size in row


@pytest.mark.parametrize(("name", "published"), [("bert-base", 22.5), ("tiny", 3.1)])
def test_flops_are_counted_as_the_paper_counts_them(name: str, published: float) -> None:
    assert model_size.cost(configs.named(name, 30522)).flops[128] / 1e9 == pytest.approx(published, rel=0.012)


def test_flops_are_the_products_that_the_model_computes() -> None:
    """Against TensorFlow's own count of a traced forward."""
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    config = configs.named("mini", 97)
    model = models.build(config, 1)
    model.shares_layers = False  # TensorFlow's count does not look into calls
    inputs = [tf.TensorSpec((1, 128), tf.int32)] * 3
    graph = tf.function(lambda *one: model.encode(*one).sequence).get_concrete_function(*inputs).graph
    with graph.as_default():
        options = option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
        counted = model_analyzer.profile(
            graph, options=options.with_empty_output().order_by("float_ops").build()
        )
    products = (
        sum(child.total_float_ops for child in counted.children if "MatMul" in child.name)
        or counted.total_float_ops
    )
    assert model_size.cost(config).flops[128] == pytest.approx(
        products, rel=0.02
    )  # TensorFlow counts additions and softmax too


def test_parts_add_up_and_original_files_and_folders_are_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in configs.names():
        made = model_size.cost(configs.named(name, 21128))
        assert (
            made.total
            == sum(made.by_component.values())
            == models.parameters.count(configs.named(name, 21128))
        )
    config = configs.to_original(configs.named("base-f2", 21128))
    (tmp_path / "student_base_f2.json").write_text(json.dumps(config))
    text = printed(capsys, tmp_path / "student_base_f2.json")
    assert text.splitlines()[1:] == printed(capsys, "base-f2").splitlines()[1:]
    assert sum(math.prod(shape) for shape in body(config).values()) == 26_260_424
    folder = make_model(tmp_path / "model")
    size = (folder / "model.safetensors").stat().st_size
    shape = model_size.find(str(folder))
    assert model_size.bytes_on_disk(shape, 4) == pytest.approx(size, abs=64)
    assert f"{size / 1e6:.1f}" in printed(capsys, folder)


def test_other_names_and_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'base-f3' is neither a shape \(base-f2, .*nor a configuration"):
        model_size.find("base-f3")
    folder = make_model(tmp_path / "model")
    with pytest.raises(UserError, match=r"vocab_size \d+, expected 21128"):
        model_size.find(str(folder), 21128)


def test_the_command_needs_no_tensorflow() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "scripts.describe_model", "--all"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "large-f4" in done.stdout
    assert " tensorflow\n" not in done.stderr
    failed = subprocess.run(
        [sys.executable, "-m", "scripts.describe_model", "nothing"], capture_output=True, text=True
    )
    assert failed.returncode == 1
    assert "neither a shape" in failed.stderr
    assert "Traceback" not in failed.stderr
