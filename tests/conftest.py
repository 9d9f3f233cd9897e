"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback_gcs import LoopbackGcs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real Chinese data beside the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder}")
    return folder


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackGcs]:
    """A loopback service with the bucket "states", to which every client of the test is pointed."""
    with LoopbackGcs("states") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        yield server


class NoSilentSkips:
    """In CI a skipped transformers test is a failure: it is the independent judge of every checkpoint."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note skipped tests of transformers; with xdist this is called in the process that leads."""
        if report.skipped and "transformers" in report.nodeid:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session."""
        if self.skipped and os.environ.get("CI"):
            print(f"\nskipped in CI, which must not happen: {', '.join(self.skipped)}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    """Register the judge of skips."""
    config.pluginmanager.register(NoSilentSkips())
