"""The parts of `make tpu-check` that need no TPU compiler."""

from __future__ import annotations

import pytest

from benchmarks import tpu_compiler

TEXT = """module {
  func.func public @main(%arg0: tensor<8x512xi32> loc("X"), %arg1: tensor<8xi32> loc("X"), %arg2: tensor<3x4xf32>, %arg3: tensor<f32>) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<8x512xi32>
"""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('%1 = stablehlo.custom_call @"xla_python_cpu_callback"(%0)', "asks the host"),
        ("%1 = stablehlo.infeed %0", "asks the host"),
        ("%1 = stablehlo.add %0 : tensor<?x3xf32>", "not static"),
        ("%1 = stablehlo.add %0 : tensor<3x?xf32>", "not static"),
    ],
)
def test_a_step_that_asks_the_host_or_changes_its_shape_is_refused_with_the_operation(line, why):
    with pytest.raises(tpu_compiler.Refused, match=why) as caught:
        tpu_compiler.checked(TEXT + line)
    assert line in str(caught.value)
    assert tpu_compiler.checked(TEXT) == TEXT


def test_all_reduces_are_counted_in_the_one_optimised_program(tmp_path):
    (tmp_path / "module_1.before_optimizations.txt").write_text("%a = all-reduce(%b)\n")
    with pytest.raises(tpu_compiler.Refused, match="0 optimised programs"):
        tpu_compiler.all_reduces(tmp_path)
    lines = ["%a.1 = f32[] all-reduce(%b), channel_id=1", "%c = f32[] get-tuple-element(%all-reduce.2)", "%d = f32[] all-reduce-start(%e)"]
    (tmp_path / "module_1.after_optimizations.txt").write_text("\n".join(lines))
    assert tpu_compiler.all_reduces(tmp_path) == 2
