"""The parts of `make tpu-check` that need no TPU compiler."""

from __future__ import annotations

import pytest

from benchmarks import tpu_compiler

TEXT = """module {
  func.func public @main(%arg0: tensor<8x512xi32> loc("X"), %arg1: tensor<8xi32> loc("X"), %arg2: tensor<3x4xf32>, %arg3: tensor<f32>) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<8x512xi32>
"""


def test_the_batch_is_split_over_the_chips_and_everything_else_is_whole_on_each():
    text = tpu_compiler.split(tpu_compiler.Program(TEXT, 2), 4)
    assert '%arg0: tensor<8x512xi32> {mhlo.sharding = "{devices=[4,1]<=[4]}"} loc("X")' in text
    assert '%arg1: tensor<8xi32> {mhlo.sharding = "{devices=[4]<=[4]}"}' in text
    assert '%arg2: tensor<3x4xf32> {mhlo.sharding = "{replicated}"}' in text
    assert '%arg3: tensor<f32> {mhlo.sharding = "{replicated}"}' in text
    assert "%0 = stablehlo.add %arg0, %arg0 : tensor<8x512xi32>" in text
    assert tpu_compiler.split(tpu_compiler.Program(TEXT, 2), 1) == TEXT


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
        tpu_compiler.checked(tpu_compiler.Program(TEXT + line, 2))
    assert line in str(caught.value)
    assert tpu_compiler.checked(tpu_compiler.Program(TEXT, 2)).text == TEXT
