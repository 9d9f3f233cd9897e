"""Beam waits for ever for the answers of a worker process that is gone (killed for its memory, say); here they are errors."""

from __future__ import annotations

import time
from threading import Thread

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)

GONE = "a worker process ended before its work was done"
_SECONDS = 0.5


def watch() -> None:
    """From now on, pipelines fail with `GONE` in their error when a worker process that a command started fails."""
    WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)(_Watched)


class _Watched(SubprocessSdkWorkerHandler):
    """Looks at what it is given of Beam's own: the connection's state and the requests without an answer."""

    def start_worker(self) -> None:
        """Start the command, and the thread that waits for its end."""
        super().start_worker()
        Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        self.worker_thread.join()
        while self.control_conn._state != BeamFnControlServicer.DONE_STATE:
            for name, future in self.control_conn._futures_by_id.copy().items():
                if not future.is_done():
                    future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=GONE))
            time.sleep(_SECONDS)
