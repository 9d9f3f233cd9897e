"""Worker processes of the direct runner, forked from one process that has imported everything.

Beam starts a worker by a command, and each would import Beam and us anew: two CPU seconds and more for each worker and pipeline
(measured). Here the command is a few lines of Python that only ask a server, over a socket in a folder of this user's own, to fork; the
child becomes the worker. The server opens no channel, so it forks with a single thread. The server, its workers and their commands end
together, whichever of them fails first; Beam alone would wait for ever for the answers of a process that is gone, so `watching` gives them.

The server itself is forked from the process that asks for it, which has imported the same, as long as that has a single thread (`ahead`);
else, and on systems other than Linux, it is a new process that imports all anew (`forked`): 1.7 CPU seconds more (measured).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import shlex
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from mobilebert.pipelines import asking, importing, memory

_WARM = "warm"  # a function that a module may have: it computes what all workers would compute
_LONGEST = 80  # bytes of a folder for a socket, whose own path may have 103 (macOS) or 107
_PR_SET_PDEATHSIG = 1  # prctl(2)
IDLE = "idle"  # name of a thread that does nothing but wait for another process
_MENDED = "jemalloc_bg_thd"  # of Arrow; its own handlers care for forks
_AHEAD: ContextVar[str | None] = ContextVar("the command of the server that there is ahead", default=None)


@contextmanager
def ahead(modules: Sequence[str]) -> Iterator[None]:
    """Around `forked`, before this process takes locks, reads data or starts threads: its server is forked from here, if that is safe.

    What this process has open by now stays open in the server and its workers, except for log files.
    """
    with ExitStack() as stack:
        if not _AHEAD.get() and _is_alone():
            token = _AHEAD.set(stack.enter_context(_serving(partial(_split_off, modules))))
            stack.callback(_AHEAD.reset, token)
        yield


@contextmanager
def forked(modules: Sequence[str]) -> Iterator[str]:
    """A server that has imported these modules, for as long as the block lasts: the one that is there `ahead`, or a new process.

    Yields:
        The shell command that starts a worker; it lasts as long as the worker, and fails if that fails.
    """
    with ExitStack() as stack:
        yield _AHEAD.get() or stack.enter_context(_serving(partial(_spawned, modules)))


@contextmanager
def _serving(start: Callable[[socket.socket, str], AbstractContextManager[None]]) -> Iterator[str]:
    long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST
    with tempfile.TemporaryDirectory(dir="/tmp" if long else None, ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        place = os.path.join(folder, "workers")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(place)
            listening.listen(128)
            stack.enter_context(start(listening, folder))
        # From here on only the server listens: if it dies, the commands fail.
        yield shlex.join([sys.executable, "-I", "-S", asking.__file__, place])  # it needs the standard library alone


@contextmanager
def _spawned(modules: Sequence[str], listening: socket.socket, folder: str) -> Iterator[None]:
    number = listening.fileno()
    command = [sys.executable, "-m", __name__, str(number), str(os.getpid()), folder, *modules]
    with subprocess.Popen(command, pass_fds=[number]) as server:
        try:
            yield
        finally:
            server.terminate()


@contextmanager
def _split_off(modules: Sequence[str], listening: socket.socket, folder: str) -> Iterator[None]:
    sys.stdout.flush()  # what is unwritten would be there twice
    sys.stderr.flush()
    parent = os.getpid()
    server = os.fork()
    if not server:
        try:
            logging.basicConfig(handlers=(), force=True)  # Beam sends what its workers log to our parent
            serve(listening, parent, folder, modules)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)


def _is_alone() -> bool:
    """Whether no other thread can hold a lock, which would stay locked in a fork for ever: those of gRPC, BLAS, Arrow, our callers ..."""
    if threading.current_thread() is not threading.main_thread():
        return False
    idle = {thread.native_id for thread in threading.enumerate() if thread.name == IDLE}
    try:
        tasks = [task for task in Path("/proc/self/task").iterdir() if int(task.name) not in {os.getpid(), *idle}]
        return all(task.joinpath("comm").read_text().strip() == _MENDED for task in tasks)
    except OSError:  # not Linux, or a thread has just ended
        return False


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks for every connection, and ends when a worker failed or the process that started it is gone."""

    block_on_close = False

    def __init__(self, listening: socket.socket, parent: int, folder: str) -> None:
        super().__init__("", _Worker, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._folder = folder
        self._parent, self.pid = parent, os.getpid()

    def service_actions(self) -> None:
        """Twice a second."""
        super().service_actions()
        if os.getppid() != self._parent:
            shutil.rmtree(self._folder, ignore_errors=True)  # which it would have removed
            os._exit(1)

    def collect_children(self, *, blocking: bool = False) -> None:
        """Also look how they ended: what a worker has not done, the others must not do in vain."""
        while self.active_children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if status:
                os._exit(1)
            if not child:
                return
            self.active_children.discard(child)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """In the child: Beam tells what the worker raised, and the command, which hears nothing, fails."""


class _Worker(socketserver.StreamRequestHandler):
    """In the child: Beam's own worker, with the variables that Beam gave to the command."""

    def handle(self) -> None:
        """Work until the pipeline ends."""
        from apache_beam.runners.worker import sdk_worker_main

        _die_with(self.server.pid)  # type: ignore[attr-defined]
        os.environ.update(json.loads(self.rfile.readline()))
        sdk_worker_main.main([])
        self.wfile.write(asking.DONE)


def serve(listening: socket.socket, parent: int, folder: str, modules: Sequence[str]) -> None:
    """The server's process: fork a worker for every connection to this socket."""
    memory.keep_freed()
    with importing.quickly():
        for name in ("apache_beam.runners.worker.sdk_worker_main", *modules):
            with suppress(ImportError):  # the worker that needs it says so
                getattr(importlib.import_module(name), _WARM, int)()
    _Server(listening, parent, folder).serve_forever()


def _die_with(parent: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
