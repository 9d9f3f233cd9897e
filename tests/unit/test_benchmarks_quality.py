"""`make quality` without its trainings: stand-ins leave what the commands would leave."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality import jobs as quality_jobs
from benchmarks.quality import one_job
from benchmarks.quality.jobs import Job, Kept, run_all
from benchmarks.quality.plan import ARMS, Plan, read_design
from mobilebert import settings
from mobilebert.errors import UserError
from mobilebert.storage import artifacts

# CPU seconds a step by the arm in a job's name: what the equal-cost step counts must follow.
RATES = {"scratch": 0.1, "tables": 0.1, "soft": 0.2, "joint": 0.4, "progressive": 0.05, "auxiliary": 0.5}


@pytest.fixture
def design() -> dict[str, Any]:
    return read_design()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that ran, in their order; none of them really does."""
    told: list[str] = []

    def stand_in(kept: Kept, job: Job) -> None:
        told.append(kept.folder_of(job).name)
        with artifacts.writing(kept.folder_of(job), "model") as writer:
            if job.script == "score_task":
                body = {"metrics": {"accuracy": 0.8}, "majority": {"accuracy": 0.5}, "examples": 100}
                writer.path("scores.json").write_text(json.dumps(body))
        if job.trains:
            rate = next((rate for arm, rate in RATES.items() if f"-{arm}" in job.name), 1.0)
            accuracy = 0.3 + 0.001 * int(job.settings.get("seed", 0)) + (0.1 if "joint" in job.name else 0.0)
            heldout = {
                "masked_accuracy": accuracy,
                "masked_loss": 4.0,
                "predictions": 1000,
                "unigram_accuracy": 0.05,
            }
            figures = {"steps": 20, "counted": 20 * rate, "first": 9.0, "process": 30.0, "heldout": heldout}
            kept.figures_file(job).write_text(json.dumps(figures))

    monkeypatch.setattr(Kept, "run", stand_in)
    monkeypatch.setattr(quality, "outside", lambda job: [])
    monkeypatch.setattr(artifacts, "sha256", lambda path: str(path))
    return told


def command(tmp_path: Path, *more: str) -> Any:
    quality.main(
        [
            "--kept",
            str(tmp_path / "kept"),
            "--results",
            str(tmp_path / "q.json"),
            "--document",
            str(tmp_path / "q.md"),
            *more,
        ]
    )
    return json.loads((tmp_path / "q.json").read_text())


def test_equal_cost_gives_every_arm_what_joint_spends(tmp_path: Path, ran: list[str]) -> None:
    found = command(tmp_path, "--settings", "plain", "--seeds", "1", "--cores", "4")
    runs = {(run["comparison"], run["arm"]): run for run in found["runs"]}
    assert {arm for _, arm in runs} == set(ARMS)
    steps = read_design()["settings"]["plain"]["steps"]
    assert all(
        sum(run["steps"].values()) == steps for (comparison, _), run in runs.items() if comparison == "steps"
    )
    budget = runs["steps", "joint"]["cpu_seconds"]
    assert budget == pytest.approx(steps * RATES["joint"])
    for (comparison, arm), run in runs.items():
        if comparison == "cost":  # as near as whole host calls of 10 steps in each of 4 stages allow
            assert run["cpu_seconds"] == pytest.approx(budget, abs=50 * RATES[arm.split(",")[0].split()[0]])
    assert sum(runs["cost", "tables"]["steps"].values()) == 4 * steps
    assert len(ran) == len(set(ran)), "what the comparisons share is made once"


def test_what_is_there_is_not_made_again(tmp_path: Path, ran: list[str]) -> None:
    first = command(tmp_path, "--settings", "plain", "--seeds", "1", "--only", "tables")
    before = list(ran)
    assert command(tmp_path, "--settings", "plain", "--seeds", "1", "--only", "tables") == first
    assert ran == before
    command(tmp_path, "--settings", "plain", "--seeds", "2", "--only", "tables")
    more = ran[len(before) :]
    assert more
    assert not any(
        name.startswith(("teacher-plain-teacher-", "records", "corpus")) for name in set(more) & set(before)
    )
    assert all("seed2" in name or "chnsenticorp" in name for name in more)


def test_a_changed_setting_gives_another_name_to_what_follows_from_it_alone(
    design: dict[str, Any], ran: list[str]
) -> None:
    def keys() -> dict[str, str]:
        plan = Plan(design)
        chain = plan.chain("plain", "progressive, 0.1", 1, plan.lengths("plain", "progressive, 0.1"))
        parts = {
            "records": plan.records,
            "teacher": plan.teachers["plain"],
            "first": chain.trainings[0],
            "last": chain.trainings[-1],
        }
        return {name: job.key for name, job in parts.items()}

    before = keys()
    design["ground_truth_ratio"] = 0.7
    assert [name for name, key in keys().items() if key != before[name]] == ["last"]
    design["settings"]["plain"]["teacher"]["threads"] = 3
    assert keys()["teacher"] == before["teacher"]
    design["settings"]["plain"]["teacher"]["training"]["steps"] += 10
    assert [name for name, key in keys().items() if key != before[name]] == ["teacher", "first", "last"]


def test_what_a_changed_program_made_and_what_follows_from_it_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keys() -> list[str]:
        teacher = Job("pretrain_teacher", "teacher", {"seed": 1}, {})
        layer = Job("transfer_layer", "layer", {"seed": 1}, {"teacher": teacher})
        return [
            job.key for job in (teacher, layer, Job("pretrain_student", "student", {}, {"previous": layer}))
        ]

    before = keys()
    assert before == ["a3c88172f213", "56e388f6e320", "9f726dd4a271"], (
        "of the first program, so that what is kept stays valid"
    )
    monkeypatch.setattr(quality_jobs, "PROGRAM", {"transfer_layer": 1})
    assert keys() == before
    monkeypatch.setattr(quality_jobs, "PROGRAM", {"transfer_layer": 2})
    assert [one == other for one, other in zip(keys(), before, strict=True)] == [True, False, False]


def test_the_arms_differ_in_what_they_are_told_alone(
    design: dict[str, Any], ran: list[str], tmp_path: Path
) -> None:
    plan = Plan(design)
    chains = {arm: plan.chain("plain", arm, 1, plan.lengths("plain", arm)) for arm in ARMS}
    names = {
        arm: [job.arguments.get("stage", "pretrained") for job in chain.trainings]
        for arm, chain in chains.items()
    }
    stages = [f"layer{layer:02d}" for layer in range(1, plan.layers("plain") + 1)]
    assert names["scratch"] == names["tables"] == names["soft labels"] == names["auxiliary"] == ["pretrained"]
    assert names["joint"] == ["joint", "pretrained"]
    assert names["progressive, frozen"] == names["progressive, 1.0"] == [*stages, "pretrained"]
    factors = [
        chains[f"progressive, {name}"].trainings[0].settings["transfer"]["earlier_layers"]
        for name in ("frozen", "0.1", "1.0")
    ]
    assert factors == [0.0, 0.1, 1.0]
    last = {arm: chain.trainings[-1] for arm, chain in chains.items()}
    assert "teacher" not in last["scratch"].arguments
    assert [arm for arm, job in last.items() if "transfer" in job.settings] == ["auxiliary"]
    assert [job.arguments["arm"] for job in last.values()] == [
        "scratch",
        "tables",
        *["distilled"] * (len(ARMS) - 2),
    ]
    assert len(
        {Kept(tmp_path).figures_file(job) for chain in chains.values() for job in chain.trainings}
    ) == len(ARMS) + 1 + 3 * len(stages)
    for one, other in zip(chains["joint"].trainings, chains["joint"].trainings[1:], strict=False):
        assert other.arguments["previous"] is one


def test_the_commands_take_the_settings(design: dict[str, Any], ran: list[str], tmp_path: Path) -> None:
    plan, kept = Plan(design), Kept(tmp_path)
    jobs = [
        chain.score or chain.trainings[-1]
        for chain in (plan.chain("plain", arm, 1, plan.lengths("plain", arm), scored=True) for arm in ARMS)
    ]
    for job in quality_jobs.unique(jobs):
        told = kept.command(job)
        settings.parse(told[told.index("--settings") + 1])
        if job.trains:
            script = importlib.import_module(f"scripts.{job.script}")
            script.parser().parse_args(told[told.index(job.script) + 1 :])


def test_a_failed_job_ends_the_run_and_what_needs_it_never_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Job("pretrain_teacher", "first", {}, {})
    second = Job("pretrain_student", "second", {}, {"teacher": first})
    started = []

    def fail(kept: Kept, job: Job) -> None:
        started.append(job.name)
        raise RuntimeError("no memory")

    monkeypatch.setattr(Kept, "run", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        run_all(Kept(tmp_path), [second], 4)
    assert started == ["first"]


def test_no_more_threads_are_used_than_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, used, most = threading.Lock(), [0], [0]

    def work(kept: Kept, job: Job) -> None:
        with lock:
            used[0] += job.threads
            most[0] = max(most[0], used[0])
        time.sleep(0.01)
        kept.folder_of(job).mkdir()
        (kept.folder_of(job) / artifacts.MANIFEST).write_text("{}")
        with lock:
            used[0] -= job.threads

    monkeypatch.setattr(Kept, "run", work)
    run_all(
        Kept(tmp_path),
        [Job("s", "job", {"number": number}, {}, threads=1 + number % 2) for number in range(9)],
        3,
    )
    assert 2 <= most[0] <= 3


def test_the_first_call_is_not_counted_and_a_broken_off_job_keeps_its_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobilebert.training import loop

    class Steps:
        def run(self, first: int, count: int) -> np.ndarray:
            return np.full((count, 1), first, np.float32)

    noted = tmp_path / "figures.json.calls"
    assert one_job.read_calls(noted) == []
    for _ in range(2):  # two processes
        monkeypatch.setattr(loop, "Steps", Steps)
        one_job.count_calls(noted)
        steps = loop.Steps()  # type: ignore[call-arg]
        assert [len(steps.run(first, 10)) for first in (0, 10, 20)] == [10, 10, 10]
    with noted.open("a") as stream:
        stream.write("\n[10, 0.")
    assert [(count, first) for count, _, first in one_job.read_calls(noted)] == [
        (10, True),
        (10, False),
        (10, False),
    ] * 2
    calls = [(10, 5.0, True), (10, 1.0, False), (5, 0.5, False), (10, 6.0, True)]
    assert one_job.summary(calls) == {"steps": 15, "counted": 1.5, "first": 0.5}


def test_the_page_keeps_what_is_written_around_the_tables(tmp_path: Path, ran: list[str]) -> None:
    command(tmp_path, "--settings", "plain", "--only", "tables", "--seeds", "2")
    page = tmp_path / "q.md"
    text = page.read_text()
    assert (
        "| joint | 1,000 | 400 ± 0 | 0.4015 ± 0.0007 | 4.000 ± 0.000 | +0.1000 ± 0.0000 | 2 of 2 | 2 |"
        in text
    )  # at equal steps
    assert " | 2 of 2 | 0.800 ± 0.000 | 2 |" in text  # at equal cost
    page.write_text(text.replace("±", "?") + "\nOur conclusion stays.\n")
    command(tmp_path, "--report")
    assert page.read_text() == text + "\nOur conclusion stays.\n"


def test_tuning_gives_every_arm_the_same_grid(
    tmp_path: Path, ran: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = ["tables", "joint", "progressive, 0.1", "auxiliary"]
    rows = command(tmp_path, "--tune", "--settings", "plain", "--only", *arms)
    told = read_design()["tuning"]
    for arm in arms:
        tried = [(row["rates"]["transfer"], row["rates"]["pretraining"]) for row in rows if row["arm"] == arm]
        transfers = told["transfer"] if arm in arms[1:3] else told["transfer"][:1]
        pretrainings = told[
            "transfer" if arm == "auxiliary" else "pretraining"
        ]  # whose loss has the transfer's terms
        assert sorted(tried) == sorted((one, other) for one in transfers for other in pretrainings)
    assert {row["seed"] for row in rows} == {told["seed"]}
    assert told["seed"] not in read_design()["seeds"]
    assert sum("-joint-" in name and name.split("-")[3] == "joint" for name in ran) == len(
        told["transfer"]
    ), "a transfer serves all rates"
    assert not (tmp_path / "q.md").exists()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plain:")]
    assert [line.split(":")[1].strip() for line in printed] == arms
    monkeypatch.setattr(quality, "TUNING", tmp_path / "tuning.json")
    quality.main(["--kept", str(tmp_path / "kept"), "--tune", "--settings", "plain", "--only", "tables"])
    assert len(json.loads((tmp_path / "tuning.json").read_text())) == len(told["pretraining"]), (
        "where it goes if nothing is said"
    )


def test_a_training_that_diverges_takes_along_only_what_needs_it(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in = Kept.run

    def run(kept: Kept, job: Job) -> None:
        if job.name.startswith("plain-progressive-0.1-seed") and job.name.endswith("layer02"):
            raise quality_jobs.Diverged(job.name)
        stand_in(kept, job)

    monkeypatch.setattr(Kept, "run", run)
    found = command(tmp_path, "--settings", "plain", "--seeds", "1", "--comparisons", "steps")
    assert {run["arm"] for run in found["runs"]} == set(ARMS) - {"progressive, 0.1"}
    assert "diverged: plain-progressive-0.1-seed1-layer02" in capsys.readouterr().out
    assert not any(name.startswith("plain-progressive-0.1-seed1-layer03") for name in ran)


def test_only_a_training_that_gave_up_has_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mobilebert.training.nonfinite import Guard

    guard, row = Guard("x", True, None), np.full((1, 1), np.nan)
    guard.check(0, ["loss"], row)
    (left_out,) = caplog.messages
    with pytest.raises(UserError) as gave_up:
        guard.check(1, ["loss"], np.repeat(row, 10, 0))
    job = Job("pretrain_student", "x", {}, {}, trains=True)
    for said, kind in (
        (str(gave_up.value), quality_jobs.Diverged),
        (f"{left_out}\nNo space left", RuntimeError),
        (left_out, RuntimeError),
    ):
        code = f"import sys; sys.exit({said!r})"
        monkeypatch.setattr(Kept, "command", lambda kept, job, code=code: [sys.executable, "-c", code])
        with pytest.raises(RuntimeError, match="is not a finite number at step") as caught:
            Kept(tmp_path).run(job)
        assert type(caught.value) is kind
