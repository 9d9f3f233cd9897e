"""TFLite: one fp32 file with a named signature of fixed shape, built-in operations only.

It is converted from a SavedModel: `from_concrete_functions` reorders the inputs without a word (measured).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from mobilebert.errors import UserError
from mobilebert.exporting.network import INPUTS, Batch, Network

FILE = "model.tflite"
SIGNATURE = "serving_default"


def convert(network: Network, length: int) -> bytes:
    """The TFLite file for batch 1 and `length` tokens.

    Raises:
        UserError: the model has fewer positions than that.
    """
    positions = network.model.config.max_position_embeddings
    if length > positions:
        raise UserError(
            f"export.sequence_length: {length}, but the model has {positions} positions; set it to at most "
            f"{positions}"
        )
    module = tf.Module()
    module.network = [network.model, network.head]  # what the SavedModel has to hold

    def serve(
        input_ids: tf.Tensor, attention_mask: tf.Tensor, token_type_ids: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return {network.output: network(input_ids, attention_mask, token_type_ids)}

    signature = [tf.TensorSpec((1, length), tf.int32, name=name) for name in INPUTS]
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(
            module, folder, signatures={SIGNATURE: tf.function(serve, input_signature=signature)}
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return bytes(converter.convert())


class Runner:
    """A TFLite file in LiteRT."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises: UserError when LiteRT cannot open it or its signature is not ours."""
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self.run_signature: Any = self._interpreter.get_signature_runner(SIGNATURE)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path}: LiteRT cannot run it ({error}); export the model again") from None
        if set(self.inputs) != set(INPUTS):
            raise UserError(
                f"{path}: its inputs are {', '.join(sorted(self.inputs))}, expected {', '.join(INPUTS)}; "
                f"export the model again"
            )

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """name -> {"dtype", "shape"} of the signature's inputs."""
        return _described(self.run_signature.get_input_details())

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """name -> {"dtype", "shape"} of the signature's outputs."""
        return _described(self.run_signature.get_output_details())

    @property
    def operations(self) -> list[str]:
        """Names of the operations, each once; one that LiteRT does not bring itself is called Flex..."""
        return sorted({detail["op_name"] for detail in self._interpreter._get_ops_details()})

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name, float32."""
        outputs: dict[str, np.ndarray] = self.run_signature(**batch)
        return outputs


def _described(details: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {"dtype": np.dtype(detail["dtype"]).name, "shape": [int(size) for size in detail["shape"]]}
        for name, detail in details.items()
    }
