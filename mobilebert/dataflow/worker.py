"""A worker process of the direct runner: Beam's own (`python -m mobilebert.dataflow.worker`; Beam sets its environment)."""

from __future__ import annotations

import logging

from mobilebert.dataflow import running

if __name__ == "__main__":
    logging.basicConfig(handlers=[logging.NullHandler()])  # Beam sends what is logged to the process that started this one
    with running.quiet():
        from apache_beam.runners.worker import sdk_worker_main
    logging.getLogger(sdk_worker_main.__name__).setLevel(logging.ERROR)  # it misses a folder for what we do not use
    sdk_worker_main.main([])
