"""The command of a worker process of the direct runner: Beam's own, whose environment Beam has set."""

from __future__ import annotations

import logging

from mobilebert.dataflow import running

if __name__ == "__main__":
    logging.basicConfig(handlers=[logging.NullHandler()])  # Beam sends what is logged to our parent
    with running.quiet():
        from apache_beam.runners.worker import sdk_worker_main
    logging.getLogger(sdk_worker_main.__name__).setLevel(logging.ERROR)  # it misses a folder for nothing
    sdk_worker_main.main([])
