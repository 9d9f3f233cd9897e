"""What a training says before it starts: what each device computes, how, and which steps see how long
sequences.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from mobilebert.settings import Training
from mobilebert.training.steps import rounds


def describe(training: Training, share: int, start: int, stop: int, lengths: Mapping[int, int]) -> str:
    """ "each device takes 384 sequences a step in 8 rounds of 48, float32; steps 1 to 900: 128 tokens, 901 to
    1000: 512 tokens".

    Args:
        training: how every training runs.
        share: sequences of a step on each device.
        start: the next step, counted from 0.
        stop: the step after the last.
        lengths: the first step of each phase -> tokens of its sequences (`schedules.lengths`); may be empty.
    """
    count = rounds(share, training.device_batch)
    rounds_text = f" in {count} rounds of {share // count}" if count > 1 else " at once"
    phases = [
        f"{max(first, start) + 1} to {end}: {tokens} tokens"
        for (first, tokens), (end, _) in itertools.pairwise([*lengths.items(), (stop, 0)])
        if end > max(first, start)
    ]
    return (
        f"each device takes {share} sequences a step{rounds_text}, {training.precision}; steps "
        f"{', '.join(phases) or f'{start + 1} to {stop}'}"
    )
