"""The published forms of the transfer losses, and what tells one from another. No TensorFlow here.

| form | statistics against | padding | LayerNorm epsilon | divided by | source |
|---|---|---|---|---|---|
| corrected | the same teacher layer | ignored | 1e-12 | L | the MobileBERT paper's intent |
| published | all L + 1 teacher outputs at once | counted | 1e-12 | L | Google's and the Chinese TF1 code |
| google_tf2 | the same teacher layer | counted | 1e-3 | the layer's number | Google's TF2 port |

The TF1 codes have it in run_pretraining.py, the TF2 port in tensorflow/models,
official/projects/mobilebert/distillation.py. The port never reduces its feature map term, so that its tape
sums all B * S positions and every gradient there is B * S times the one of the mean that is computed here;
Adam and LAMB do not see such a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LossVariantName = Literal["corrected", "published", "google_tf2"]
BERT_EPSILON = 1e-12  # contrib_layers.layer_norm, as in BERT
KERAS_EPSILON = 1e-3  # tf.keras.layers.LayerNormalization, which Google's TF2 port uses


@dataclass(frozen=True)
class LossVariant:
    """What tells one published form of the transfer losses from another."""

    name: LossVariantName
    ignores_padding: bool
    all_outputs: bool  # statistics against every teacher output, the embeddings' included
    epsilon: float

    def divisor(self, layer: int, depth: int) -> int:
        """What the losses of `layer` (1-based) of `depth` layers are divided by."""
        return layer if self.name == "google_tf2" else depth


def variant(name: LossVariantName) -> LossVariant:
    """The form that `transfer.losses` names."""
    if name == "corrected":
        return LossVariant(name, ignores_padding=True, all_outputs=False, epsilon=BERT_EPSILON)
    if name == "published":
        return LossVariant(name, ignores_padding=False, all_outputs=True, epsilon=BERT_EPSILON)
    return LossVariant(name, ignores_padding=False, all_outputs=False, epsilon=KERAS_EPSILON)
