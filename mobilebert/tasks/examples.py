"""The line forms that all tasks are read into, and what reading counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobilebert.errors import UserError


@dataclass(frozen=True)
class Classification:
    """One text, or a pair, and the number of its label."""

    id: str
    text: str
    text_pair: str | None
    label: int

    def to_json(self) -> dict[str, Any]:
        """The line of `tasks/TASK/*.jsonl`."""
        return {"id": self.id, "text": self.text, "text_pair": self.text_pair, "label": self.label}


@dataclass(frozen=True)
class Answer:
    """An answer and the character offset at which it stands in the context, or -1 if it does not stand
    there.
    """

    text: str
    start: int


@dataclass(frozen=True)
class Reading:
    """A question about a context, and its answers."""

    id: str
    context: str
    question: str
    answers: tuple[Answer, ...]

    def to_json(self) -> dict[str, Any]:
        """The line of `tasks/TASK/*.jsonl`."""
        answers = [{"text": answer.text, "start": answer.start} for answer in self.answers]
        return {"id": self.id, "context": self.context, "question": self.question, "answers": answers}


@dataclass
class Split:
    """A file that was read: its examples in the file's order, and counts for the manifest."""

    examples: list[Classification] | list[Reading]
    counts: Counter[str] = field(default_factory=Counter)


def read_text(path: Path) -> str:
    """A task file's text, without a byte order mark.

    Raises:
        UserError: if the file is missing, empty or not UTF-8 (naming the line).
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path}: no such file; name the task's file in task.NAME.files, or write small_world there"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, where the task's file is expected") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text
