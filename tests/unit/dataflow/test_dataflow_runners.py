"""The same bytes whatever runs the pipelines and wherever their files lie between the steps."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import batching_gcs
import pytest
import toy_file_system
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from mobilebert.dataflow import running
from mobilebert.dataflow.stages import Stage
from mobilebert.settings import Beam
from tests import loopback_gcs


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback_gcs.LoopbackGcs]:
    monkeypatch.setattr(loopback_gcs, "_Handler", batching_gcs.Handler)
    with loopback_gcs.LoopbackGcs("bucket") as gcs:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.address)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
        batching_gcs.service_account(gcs.address, tmp_path / "key.json")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        yield gcs


def test_the_number_of_processes_does_not_show(both, expected, tmp_path: Path) -> None:
    assert both(tmp_path / "made", threads=2) == expected


def test_files_between_the_steps_may_lie_where_no_path_leads(
    both, expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy").mkdir()
    monkeypatch.setenv(toy_file_system.FOLDER, str(tmp_path / "toy"))
    assert both(tmp_path / "made", Beam(work="toy://place/deep")) == expected
    assert list((tmp_path / "toy").iterdir()) == []


def test_worker_processes_that_share_only_a_bucket_make_the_same(
    both, expected, tmp_path: Path, bucket: loopback_gcs.LoopbackGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portable runner hands each stage to workers that a pool starts as processes, as on Flink and
    Spark; files lie in a bucket.
    """
    monkeypatch.setenv(
        "PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )  # the pool starts `python`
    address, pool = BeamFnExternalWorkerPoolServicer.start(use_process=True)
    try:
        options = [
            "--job_endpoint=embed",
            "--environment_type=EXTERNAL",
            f"--environment_config={address}",
            "--sdk_worker_parallelism=1",
            "--no_auth",
        ]
        assert (
            both(
                tmp_path / "made", Beam(runner="portable", pipeline_options=options, work="gs://bucket/work")
            )
            == expected
        )
    finally:
        pool.stop(0)
    assert bucket.count("insert", "start") > 50
    assert bucket.buckets["bucket"] == {}


def test_dataflow_job_graphs_are_built_and_staged_offline(
    both, tmp_path: Path, bucket: loopback_gcs.LoopbackGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the service's door: a template in a bucket is all that Dataflow needs to start the job.

    The service itself was never met.
    """
    options = ["--project=test", "--region=europe-west4", "--temp_location=gs://bucket/tmp",
               "--template_location=gs://bucket/template",
               "--sdk_container_image=workers:1", "--sdk_location=container"]  # fmt: skip
    where = Beam(runner="dataflow", pipeline_options=options, work="gs://bucket/work")
    staged = {}

    def run(name: str, stages: list[Stage], *rest: Any) -> None:
        bucket.buckets["bucket"].clear()
        original(name, stages, str(tmp_path), where)
        staged[name] = dict(bucket.buckets["bucket"])
        original(name, stages, *rest)

    original = running.run
    monkeypatch.setattr(running, "run", run)
    both(tmp_path)
    assert staged.keys() == {"clean-corpus", "write-records"}
    steps = {
        "clean-corpus": {"Clean", "Candidates", "Confirm", "CountParagraphs", "Write numbers", "Write"},
        "write-records": {"EncodeBlock", "WriteShard"},
    }
    for name, stored in staged.items():
        graph = beam_runner_api_pb2.Pipeline.FromString(
            next(found.data for place, found in stored.items() if place.endswith("pipeline.pb"))
        )
        assert steps[name] <= {transform.unique_name for transform in graph.components.transforms.values()}
        assert any(
            environment.payload.endswith(b"workers:1")
            for environment in graph.components.environments.values()
        )
        template = json.loads(stored["template"].data)
        assert [
            image["containerImage"]
            for image in template["environment"]["workerPools"][0]["sdkHarnessContainerImages"]
        ] == ["workers:1"]
