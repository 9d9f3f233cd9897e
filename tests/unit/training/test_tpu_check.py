"""The parts of `make tpu-check` that need no TPU compiler."""

from __future__ import annotations

import re
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest
import tensorflow as tf

from benchmarks import tpu_check, tpu_compiler
from mobilebert import models
from mobilebert.distillation.transfer import TransferObjective
from mobilebert.models import configs
from mobilebert.settings import Optimization, Transfer

TEXT = """module {
  func.func public @main(%arg0: tensor<8x512xi32> loc("X"), %arg1: tensor<8xi32> loc("X"), \
%arg2: tensor<3x4xf32>, %arg3: tensor<f32>) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<8x512xi32>
"""


@pytest.fixture(autouse=True)
def seeded() -> None:
    """TensorFlow asks a random number for its device when it lowers, which needs a seed where a test made
    operations deterministic.
    """
    tf.random.set_seed(1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('%1 = stablehlo.custom_call @"xla_python_cpu_callback"(%0)', "asks the host"),
        ("%1 = stablehlo.infeed %0", "asks the host"),
        ("%1 = stablehlo.add %0 : tensor<?x3xf32>", "not static"),
        ("%1 = stablehlo.add %0 : tensor<3x?xf32>", "not static"),
    ],
)
def test_a_step_that_asks_the_host_or_changes_its_shape_is_refused(line, why):
    with pytest.raises(tpu_compiler.Refused, match=why) as caught:
        tpu_compiler.checked(TEXT + line)
    assert line in str(caught.value)
    assert tpu_compiler.checked(TEXT) == TEXT


def test_a_program_is_known_again_whatever_was_traced_before_it():
    calls = (
        'module @a_inference_one_{0}__.9 {{\n  func.func @while_{0}(%0: f32 loc("X")) loc(#loc{0})\n'
        '  call @while_{0}() @{1} \n#loc{0} = "a.py":{0}'
    )
    assert tpu_check.unnamed(calls.format(12, "other_3")) == tpu_check.unnamed(calls.format(7, "other_5"))
    assert tpu_check.unnamed(calls.format(12, "other_3")) != tpu_check.unnamed(calls.format(12, "while_12"))


def test_all_reduces_are_counted_in_the_one_optimised_program(tmp_path):
    (tmp_path / "module_1.before_optimizations.txt").write_text("%a = all-reduce(%b)\n")
    with pytest.raises(tpu_compiler.Refused, match="0 optimised programs"):
        tpu_compiler.all_reduces(tmp_path)
    lines = [
        "%a.1 = f32[] all-reduce(%b), channel_id=1",
        "%c = f32[] get-tuple-element(%all-reduce.2)",
        "%d = f32[] all-reduce-start(%e)",
    ]
    (tmp_path / "module_1.after_optimizations.txt").write_text("\n".join(lines))
    assert tpu_compiler.all_reduces(tmp_path) == 2


@pytest.mark.parametrize(
    ("operation", "divides"), [(tf.distribute.ReduceOp.SUM, False), (tf.distribute.ReduceOp.MEAN, True)]
)
def test_what_replicas_sum_is_lowered_to_all_reduces_over_all_of_them(operation, divides):
    def one(first, second):
        with tpu_compiler.Replica(4):
            return tf.distribute.get_replica_context().all_reduce(operation, [first, second])

    specs = [tf.TensorSpec((3,), tf.float32), tf.TensorSpec((2, 2), tf.float32)]
    lowered = tf.function(one, jit_compile=True, autograph=False).experimental_get_compiler_ir(*specs)
    text = lowered(stage="hlo", platform_name="CPU")
    assert len(re.findall(r" all-reduce\(.*replica_groups=\{\{0,1,2,3\}\}", text)) == 2
    assert (len(re.findall(r" divide\(", text)) == 2) == divides


def test_a_step_in_rounds_is_lowered_with_layers_that_are_traced_once():
    """XLA must know every constant inside the loop over rounds; no TPU compiler is needed to see that it
    does.
    """
    common = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    }
    bottleneck = {
        "embedding_size": 16,
        "intermediate_size": 24,
        "intra_bottleneck_size": 8,
        "num_feedforward_networks": 1,
    }
    student = models.build(
        configs.MobileBertConfig(**common, **bottleneck, key_query_shared_bottleneck=True), 1
    )
    teacher = models.build(configs.BertConfig(**common, intermediate_size=32), 2)
    student.inlines_layers = teacher.inlines_layers = True
    objective = TransferObjective(student, teacher, Transfer(earlier_layers=0.1), "joint")
    specs = {name: tf.TensorSpec((4, 12), tf.int32) for name in ("input_ids", "segment_ids", "input_mask")}
    step = tf.function(tpu_check.flat(objective, Optimization(), specs, 2), jit_compile=True, autograph=False)
    lowered = step.experimental_get_compiler_ir(
        *specs.values(), tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.float32)
    )
    assert "while(" in lowered(stage="hlo", platform_name="CPU")


def test_a_compiler_that_is_killed_refuses_its_step_and_the_others_are_told(monkeypatch, tmp_path, caplog):
    class Pool:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, _, preset, settings, stage, topology, options):
            found = Future()
            if topology.startswith("v4"):
                found.set_exception(BrokenProcessPool("killed"))
            else:
                compiled = tpu_compiler.Compiled(1.0, 2e12, 2**30, 2**30, 0)
                found.set_result(
                    {
                        "preset": preset,
                        "stage": stage,
                        "topology": topology,
                        "devices": 1,
                        "share": 8,
                        "at_once": 8,
                    }
                    | {"refused": "", "compiled": compiled}
                )
            return found

    monkeypatch.setattr(tpu_check, "ProcessPoolExecutor", Pool)
    page = tmp_path / "page.md"
    monkeypatch.setattr(
        "sys.argv",
        ["tpu_check", "--stages", "first", "last", "--presets", "base-f2", "--jobs", "3", "--out", str(page)],
    )
    with pytest.raises(SystemExit) as ended:
        tpu_check.main()
    assert ended.value.code == 1
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| base-f2")]
    assert [(row[1], row[2]) for row in rows] == [
        (stage, topology) for stage in ("first", "last") for topology in tpu_check.TOPOLOGIES
    ]
    assert [row[-1] for row in rows if not row[2].startswith("v4")] == ["yes |"] * 6
    assert all("was killed" in row[-1] for row in rows if row[2].startswith("v4"))
    assert caplog.text.count("was killed") == 2
