"""The one place where a Beam pipeline is started: in process, in worker processes, or on another runner.

Where a pipeline runs never shapes what it makes; the settings are those of `beam:` in config.yaml.
"""

from __future__ import annotations

import io
import logging
import shlex
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import psutil

from mobilebert.dataflow.stages import Stage, build, raise_error
from mobilebert.errors import PassingError, UserError
from mobilebert.settings import Beam
from mobilebert.storage import paths

if TYPE_CHECKING:
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions

# Of text, which takes 0.1 (cleaning) to 0.2 (records) CPU s a megabyte; a worker process takes 2.5 to import
# Beam and us and to end (measured).
BYTES_WORTH_A_WORKER = 150_000_000
_WORKER = "mobilebert.dataflow.worker"
_SECONDS_BETWEEN_LOOKS = 0.5
_RUNNERS = {
    # Named because Beam's default direct runner tries to download a program first.
    "direct": "FnApiRunner",
    "dataflow": "DataflowRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "portable": "PortableRunner",
}


def count_workers(threads: int, text_bytes: int) -> int:
    """How many processes of at most `threads` pay for so much text."""
    return max(1, min(threads, text_bytes // BYTES_WORTH_A_WORKER))


def options(name: str, where: Beam, processes: int = 1) -> list[str]:
    """Beam's command line for a pipeline: ours first, so that `beam.pipeline_options` may say otherwise."""
    ours = [f"--runner={_RUNNERS[where.runner]}", f"--job_name={name}"]
    if where.runner == "direct":
        ours += [f"--direct_num_workers={processes}"]
    return [*ours, *where.pipeline_options]


def run(name: str, stages: Sequence[Stage], folder: str, where: Beam, processes: int = 1) -> None:
    """Run all stages and wait for their end.

    Args:
        name: of the job, letters, digits and hyphens.
        stages: they see each other's files only through `paths`: workers may be on other machines.
        folder: the work folder.
        where: the `beam` settings.
        processes: worker processes of the direct runner (`count_workers`).

    Raises:
        UserError: a stage raised it, or Beam does not take `where.pipeline_options`.
        PassingError: a stage raised it, a worker process of the direct runner is gone, or no job server
            answers.
    """
    with quiet():
        import apache_beam as beam
        import grpc
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import SubprocessSDKEnvironment
    error_file = paths.join(folder, f"error-{uuid.uuid4().hex}.json")
    made = _parsed(options(name, where, processes))
    if where.runner == "direct" and processes > 1:
        with tempfile.TemporaryDirectory() as temporary:
            failed = Path(temporary, "failed")
            # One warns of memory that workers share, which processes do not; of a dead worker we tell.
            logging.getLogger(FnApiRunner.__module__).setLevel(logging.ERROR)
            logging.getLogger("apache_beam.runners.worker.data_plane").setLevel(logging.CRITICAL)
            environment = SubprocessSDKEnvironment.from_command_string(_command(failed))
            pipeline = beam.Pipeline(FnApiRunner(environment), made)
            build(pipeline, stages, error_file)
            _run_watched(name, pipeline, failed)
    else:
        pipeline = beam.Pipeline(options=made)
        build(pipeline, stages, error_file)
        try:
            pipeline.run().wait_until_finish()
        except grpc.FutureTimeoutError:
            raise PassingError(
                f"{name}: no job server answers at the --job_endpoint of beam.pipeline_options "
                f"({' '.join(where.pipeline_options)}); start it, or name another"
            ) from None
        except Exception:
            raise_error(error_file)  # which is why the rest failed
            raise
    raise_error(error_file)


def _parsed(command_line: list[str]) -> PipelineOptions:
    """Beam's options. Raises: UserError: it does not take them; Beam itself prints pages and exits."""
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            made = PipelineOptions(command_line)
            made.get_all_options()
    except SystemExit:
        why = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise UserError(f"beam.pipeline_options: {why or said.getvalue()}") from None
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Around imports of Beam: no notice of libraries that nothing here needs; later only its warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
    logging.getLogger("apache_beam").setLevel(logging.WARNING)


def _command(failed: Path) -> str:
    """The shell command of a worker that finds this package where we did; it makes a file if that fails."""
    root, mark = (shlex.quote(str(path)) for path in (Path(__file__).resolve().parents[2], failed))
    python = shlex.join([sys.executable, "-m", _WORKER])
    return f"PYTHONPATH={root}:$PYTHONPATH {python} || touch {mark} 2>/dev/null || true"


def _run_watched(name: str, pipeline: apache_beam.Pipeline, failed: Path) -> None:
    """Run a pipeline in a thread that is left behind if a worker fails: Beam waits for it for ever."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            pipeline.run().wait_until_finish()
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not wait([done], _SECONDS_BETWEEN_LOOKS).done:
        if failed.exists():
            _kill_workers()
            raise PassingError(
                f"{name}: a worker process ended before its work was done, killed for lack of memory perhaps "
                "(what it said, if anything, stands above); what is finished is kept: "
                "run again to go on from there, with fewer --threads if memory is short"
            )
    done.result()


def _kill_workers() -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if _WORKER in process.cmdline():
                process.kill()
