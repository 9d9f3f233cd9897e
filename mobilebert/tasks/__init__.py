"""The tasks: their real files read into one line form, for finetuning and scoring.

`TASKS` is the registry; a further task (XNLI, DRCD, LCQMC, BQ) is one entry, given that its layout is one
that `columns` or `reading` reads: pairs of sentences are a `Columns` with `text_pair`, DRCD's files have
CMRC's SQuAD-like layout.
"""

from __future__ import annotations

from mobilebert.tasks.examples import Classification, Reading
from mobilebert.tasks.registry import TASKS, Task
from mobilebert.tasks.write import inputs_of, prepare, settings_of

__all__ = ["TASKS", "Classification", "Reading", "Task", "inputs_of", "prepare", "settings_of"]
