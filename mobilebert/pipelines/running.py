"""The one place where a Beam pipeline is started: in process, in worker processes, or on another runner.

Where a pipeline runs never shapes what it makes; the settings are those of `beam:` in config.yaml.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import apache_beam as beam
import pyarrow
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from mobilebert.errors import PassingError
from mobilebert.pipelines import forking, memory, watching
from mobilebert.settings import Beam

# Worker processes are ready after about 1 s where their server is forked from here, else after 3 s, once it has imported Beam and us
# (1.7 CPU s); each takes 0.2 CPU s to start and end. Threads are slower than one thread; one core does 7 to 9 MB/s of a stage. So a second
# process surely saves time from about 60 MB of text on, four from about 120. Four cost 3 CPU s over both stages, or 6 (measured).
BYTES_WORTH_A_WORKER = 30_000_000
# FnApiRunner is named because Beam's default direct runner tries to download a program first.
_RUNNERS = {
    "direct": "FnApiRunner",
    "dataflow": "DataflowRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "portable": "PortableRunner",
}


def workers(threads: int, text_bytes: int) -> int:
    """How many processes of at most `threads` pay for so much text."""
    return max(1, min(threads, text_bytes // BYTES_WORTH_A_WORKER))


def options(name: str, where: Beam, processes: int = 1) -> list[str]:
    """Beam's command line for a pipeline: ours first, so that `beam.pipeline_options` may say otherwise."""
    ours = [f"--runner={_RUNNERS[where.runner]}", f"--job_name={name}"]
    if where.runner == "direct":
        ours += [f"--direct_num_workers={processes}"]
    return [*ours, *where.pipeline_options]


@contextmanager
def ready(module: str, where: Beam, processes: int) -> Iterator[None]:
    """Around a `run` of a pipeline that this module builds, before locks are taken: its worker processes then cost less."""
    with forking.ahead([module]) if where.runner == "direct" and processes > 1 else nullcontext():
        yield


def run(name: str, build: partial[None], where: Beam, processes: int = 1) -> None:
    """Build a pipeline, run it and wait for its end.

    Args:
        name: of the job, letters, digits and hyphens.
        build: puts the steps on the pipeline. Their functions must be importable (no closures), and see each other's files only through
            `places`: workers may be on other machines.
        where: the `beam` settings.
        processes: worker processes of the direct runner (`workers`).

    Raises:
        PassingError: a worker process of the direct runner is gone.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    memory.keep_freed()
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))  # so that workers find this package where we found it
    with ExitStack() as stack:
        stack.enter_context(_environment(PYTHONPATH=path, ARROW_DEFAULT_MEMORY_POOL="system"))
        runner = None
        if where.runner == "direct" and processes > 1:
            command = stack.enter_context(forking.forked([build.func.__module__]))
            watching.watch()
            runner = FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))
            logging.getLogger(FnApiRunner.__module__).setLevel(logging.ERROR)  # it warns that several workers share a memory: ours do not
        pipeline = beam.Pipeline(runner, PipelineOptions(options(name, where, processes)))
        build(pipeline)
        # Arrow's own pools keep what was freed: 70 MB more in every process (measured), and no second less.
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())
        try:
            pipeline.run().wait_until_finish()
        except RuntimeError as error:
            if watching.GONE not in str(error):
                raise
            raise PassingError(
                f"{name}: {watching.GONE}, killed for lack of memory perhaps (what it said, if anything, stands above); what is finished "
                "is kept: run again to go on from there, with fewer --threads if memory is short"
            ) from None


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Variables for worker processes, for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
