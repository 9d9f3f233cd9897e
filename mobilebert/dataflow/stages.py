"""Stages, of which a pipeline is a list, and how they are put on Beam.

Only numbers pass through Beam: text, keys and rows lie in files of the work folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mobilebert.errors import PassingError, UserError
from mobilebert.storage import paths

if TYPE_CHECKING:
    import apache_beam


@dataclass(frozen=True)
class Stage:
    """A function that is called for every number, over all workers, when the stage before has ended.

    Both callables are pickled and travel to the workers.
    """

    name: str
    # All that the stage before returned, in no order (to the first stage: nothing) -> the numbers.
    numbers: Callable[[list[Any]], Iterable[int]]
    function: Callable[[int], Any]


def build(pipeline: apache_beam.Pipeline, stages: Sequence[Stage], error_file: str) -> None:
    """Put the stages on a pipeline (any runner whose workers see the work folder).

    A UserError of a stage goes to `error_file` instead of through Beam, which would wrap it and try again;
    the rest of the run is then skipped.
    """
    import apache_beam as beam  # in two seconds, which only a run waits for

    results = pipeline | "Begin" >> beam.Create([(0, ())], reshuffle=False)
    for stage in stages:
        number = partial(_number, numbers=stage.numbers, error_file=error_file)
        call = partial(_call, function=stage.function, error_file=error_file)
        results = (
            results
            | f"{stage.name} numbers" >> beam.FlatMapTuple(number)
            | f"{stage.name} spread" >> beam.GroupByKey()
            | stage.name >> beam.FlatMapTuple(call)
            | f"{stage.name} results" >> beam.GroupByKey()
        )


def raise_error(error_file: str) -> None:
    """Raise the UserError that a stage left in a file, if there is one."""
    if paths.exists(error_file):
        error = json.loads(paths.read(error_file))
        raise (PassingError if error["passing"] else UserError)(error["message"])


def _number(_: int, results: Iterable[Any], numbers: Callable, error_file: str) -> Iterator[tuple[int, None]]:
    for following in _unless_failed(lambda: list(numbers(list(results))), error_file):
        yield from ((number, None) for number in following)


def _call(number: int, _: Iterable[None], function: Callable, error_file: str) -> Iterator[tuple[int, Any]]:
    for result in _unless_failed(lambda: function(number), error_file):
        yield 0, result


def _unless_failed(call: Callable[[], Any], error_file: str) -> list[Any]:
    """The one result of a call; nothing if it raises a UserError, or another call did."""
    if paths.exists(error_file):
        return []
    try:
        return [call()]
    except UserError as error:
        body = {"message": str(error), "passing": isinstance(error, PassingError)}
        paths.write(error_file, json.dumps(body).encode())
        return []
