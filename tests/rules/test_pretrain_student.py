"""`scripts.pretrain_student`: the distilled arm, its baselines, and a student that is given."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

from mobilebert import models, tokenization
from mobilebert.distillation import stages
from mobilebert.distillation.runs import _batches
from mobilebert.errors import UserError
from mobilebert.records import reader
from mobilebert.storage import artifacts
from mobilebert.training import schedules
from scripts import pretrain_student


def arguments(chain, folder, arm, *more, **changed):
    told = chain.settings("pretraining", "student", "masking", "training", "seed", **changed)
    inputs = [*chain.data]
    return [
        "--settings",
        told,
        *inputs,
        "--student",
        "mini",
        "--arm",
        arm,
        *more,
        "--state",
        folder / "state",
        "--out",
        folder / arm,
    ]


def curve(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_distilled_goes_on_from_the_transfer_and_learns_from_teacher_and_truth(chain, command, tmp_path):
    teacher = ["--teacher", chain.teacher, chain.teacher / "manifest.json"]
    command(
        pretrain_student,
        *arguments(
            chain,
            tmp_path,
            "distilled",
            *teacher,
            "--previous",
            chain.student,
            chain.student / "manifest.json",
        ),
    )
    out = tmp_path / "distilled"
    manifest = artifacts.read(out, "model")
    assert set(manifest.inputs) == {"records", "tokenizer", "teacher", "previous"}
    *lines, heldout = curve(out)
    for line in (*lines, {name.removeprefix("heldout_"): value for name, value in heldout.items()}):
        assert line["loss"] == pytest.approx(0.5 * line["hard"] + 0.5 * line["soft"], rel=1e-5)
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["parameters"] == models.weights.load(out).parameters
    assert set(evaluation["heldout"]) == {"masked_accuracy", "masked_loss", "predictions", "unigram_accuracy"}


@pytest.fixture
def planned(monkeypatch):
    """What the command would train: its plan, and the student and objective that it starts with."""
    noted = {}

    def note(run, plan, options):
        noted["run"], noted["plan"] = run, plan
        noted["student"], noted["objective"] = plan.make()

    monkeypatch.setattr(stages, "run_training", note)
    return noted


def test_scratch_needs_no_teacher_and_trains_the_extra_steps_without_one(chain, command, tmp_path, planned):
    command(
        pretrain_student,
        *arguments(chain, tmp_path, "scratch", "--extra-steps", 2, "--teacher", "--previous"),
    )
    plan, run = planned["plan"], planned["run"]
    assert plan.optimization.steps == 6
    assert plan.inputs == {}
    batch = next(iter(reader.train_batches(run.records, run.settings.masking, 4, plan.seed, 0)))
    assert set(planned["objective"].loss(batch, None)) == {"loss", "hard", "masked_accuracy"}


def test_a_phase_cuts_records_and_later_steps_see_them_whole(chain, command, tmp_path, planned):
    phased = {"training": {"steps": 4, "batch_size": 4, "phases": [{"share": 0.5, "sequence_length": 16}]}}
    command(
        pretrain_student,
        *arguments(
            chain, tmp_path, "scratch", "--extra-steps", 2, "--teacher", "--previous", pretraining=phased
        ),
    )
    run, plan = planned["run"], planned["plan"]
    lengths = schedules.lengths(plan.optimization, 0, plan.optimization.steps, 32)
    assert lengths == {0: 16, 3: 32}
    shapes = [
        next(iter(_batches(run, plan, lengths, 0)(step)))["input_ids"].shape.as_list()
        for step in (0, 2, 3, 5)
    ]
    assert shapes == [[4, 16], [4, 16], [4, 32], [4, 32]]
    later = _batches(run, plan, lengths, 100)  # a stage whose steps begin at place 100
    assert [later(place).element_spec["input_ids"].shape[1] for place in (100, 102, 103)] == [16, 16, 32]


def test_a_later_phase_that_cannot_be_is_refused_before_the_first_step(chain, command, tmp_path):
    phases = [{"share": 0.5, "sequence_length": 16}, {"share": 0.25, "sequence_length": 64}]
    phased = {"training": {"steps": 4, "batch_size": 4, "phases": phases}}
    with pytest.raises(UserError, match="a phase asks for sequences of 64 tokens, and the records have 32"):
        command(
            pretrain_student,
            *arguments(chain, tmp_path, "scratch", "--teacher", "--previous", pretraining=phased),
        )
    assert not (tmp_path / "state").exists()


def test_every_arm_sees_the_same_batches(chain, command, tmp_path, planned):
    seeds = []
    for arm in ("distilled", "tables", "scratch"):
        command(
            pretrain_student,
            *arguments(chain, tmp_path, arm, "--teacher", chain.teacher, "--previous", chain.student),
        )
        seeds.append(planned["plan"].seed)
    assert len(set(seeds)) == 1


def test_tables_starts_from_the_teachers_tables_and_ignores_the_transfer(chain, command, tmp_path, planned):
    more = ["--teacher", chain.teacher, "--previous", chain.student]
    command(pretrain_student, *arguments(chain, tmp_path, "tables", *more))
    tables, teacher = planned["student"], models.weights.load(chain.teacher)
    command(pretrain_student, *arguments(chain, tmp_path, "scratch", *more))
    scratch = planned["student"]
    for name, variable in tables.variables_by_name.items():
        is_table = (
            "word_embeddings" in name
            or "position" in name
            or "token_type" in name
            or "transformation" in name
            or name.startswith("cls")
        )
        source = teacher if is_table else scratch
        np.testing.assert_array_equal(variable.numpy(), source.variables_by_name[name].numpy(), err_msg=name)
    assert "previous" not in planned["plan"].inputs


def copied(source, folder):
    """A student as it may be given: a transformers directory that is no artifact."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(source / name, folder / name)
    return folder


def test_a_given_student_is_taken_and_named_by_its_digests(chain, command, tmp_path, planned):
    given = copied(chain.student, tmp_path / "given")
    changed = {"student": {"from": str(given)}, "transfer": {"schedule": "none"}}
    command(
        pretrain_student,
        *arguments(chain, tmp_path, "distilled", "--teacher", chain.teacher, "--previous", **changed),
    )
    expected = models.weights.load(chain.student)
    for name, variable in planned["student"].variables_by_name.items():
        np.testing.assert_array_equal(variable.numpy(), expected.variables_by_name[name].numpy())
    assert planned["plan"].arguments["from"]["model.safetensors"] == artifacts.sha256(
        given / "model.safetensors"
    )


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_student_that_transformers_saved_again_is_taken(chain, command, tmp_path, planned, file):
    given, source = tmp_path / "given", str(chain.student)
    network = transformers.AutoModelForMaskedLM.from_pretrained(source)
    network.save_pretrained(given)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(given)
    if file == "pytorch_model.bin":
        (given / "model.safetensors").unlink()
        torch.save({f"_orig_mod.{name}": value for name, value in network.state_dict().items()}, given / file)
    changed = {"student": {"from": str(given)}, "transfer": {"schedule": "none"}}
    command(
        pretrain_student,
        *arguments(chain, tmp_path, "distilled", "--teacher", chain.teacher, "--previous", **changed),
    )
    expected = models.weights.load(chain.student)
    for name, variable in planned["student"].variables_by_name.items():
        np.testing.assert_array_equal(variable.numpy(), expected.variables_by_name[name].numpy())
    assert planned["plan"].arguments["from"][file] == artifacts.sha256(given / file)


def test_auxiliary_transfer_is_part_of_the_distilled_arms_loss_alone(chain, command, tmp_path, planned):
    told = json.loads(chain.settings("transfer", transfer={"schedule": "auxiliary"}))
    for arm, extra in (
        ("distilled", {"feature_map", "attention", "mean", "variance", "soft"}),
        ("tables", set()),
    ):
        given = arguments(chain, tmp_path, arm, "--teacher", chain.teacher, "--previous")
        given[1] = json.dumps(json.loads(given[1]) | told)
        command(pretrain_student, *given)
        plan, run = planned["plan"], planned["run"]
        batch = next(iter(reader.train_batches(run.records, run.settings.masking, 4, plan.seed, 0)))
        assert set(planned["objective"].loss(batch, None)) == {"loss", "hard", "masked_accuracy"} | extra


def test_the_recipe_fills_what_the_settings_leave_open(chain, command, tmp_path, planned):
    for recipe, expected in (("ours", ("adamw", 0.0, "global")), ("google", ("lamb", 1e-4, "per_replica"))):
        told = chain.settings("recipe", recipe=recipe)
        given = arguments(chain, tmp_path, "scratch", "--teacher", "--previous")
        given[1] = json.dumps(json.loads(given[1]) | json.loads(told))
        command(pretrain_student, *given)
        found = planned["plan"].optimization
        assert (found.optimizer, found.end_rate, found.clip) == expected


@pytest.fixture
def start(chain, command, tmp_path, starts):
    """Start the distilled arm, which is interrupted; the state folder's name and the step that it goes on
    from.
    """

    def run(
        extra_steps=0, teacher=chain.teacher, previous=chain.student, records=None, tokenizer=None, **changed
    ):
        at = dataclasses.replace(
            chain, records=records or chain.records, tokenizer=tokenizer or chain.tokenizer
        )
        more = [
            "--extra-steps",
            extra_steps,
            "--teacher",
            teacher,
            "--previous",
            *([previous] if previous else []),
        ]
        with pytest.raises(KeyboardInterrupt):
            command(pretrain_student, *arguments(at, tmp_path, "distilled", *more, **changed))
        return starts[-1]

    return run


def test_unfinished_work_goes_on_only_with_the_same_inputs_arguments_and_settings(
    chain, start, another, monkeypatch
):
    name, step = start()
    assert (step, start()) == (0, (name, 3))
    others = [
        start(extra_steps=2),
        start(teacher=another(chain.teacher)),
        start(previous=another(chain.student)),
        start(records=another(chain.records)),
        start(tokenizer=another(chain.tokenizer)),
        start(seed=99),
    ]
    monkeypatch.setattr(tf, "__version__", "0.0")
    others.append(start())
    assert [step for _, step in others] == [0] * len(others)
    assert len({name, *(other for other, _ in others)}) == 1 + len(others)


def test_unfinished_work_from_a_given_student_follows_its_content_and_not_its_place(chain, start, tmp_path):
    given = copied(chain.student, tmp_path / "given")
    name, _ = start(previous=None, student={"from": str(given)})
    moved = given.rename(tmp_path / "moved")
    assert start(previous=None, student={"from": str(moved)}) == (name, 3)
    model = models.build(models.weights.load(moved).config, 77)
    models.weights.save(artifacts.Writer(moved), model)
    other, step = start(previous=None, student={"from": str(moved)})
    assert (other != name, step) == (True, 0)


def test_a_given_student_of_another_shape_is_refused(chain, command, tmp_path):
    given = copied(chain.student, tmp_path / "given")
    config = json.loads((given / "config.json").read_text())
    (given / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    told = arguments(
        chain, tmp_path, "distilled", "--teacher", chain.teacher, "--previous", student={"from": str(given)}
    )
    with pytest.raises(
        UserError,
        match=r"student\.from: .*config\.json is not the shape 'mini': num_hidden_layers 3, expected 4;",
    ):
        command(pretrain_student, *told)


def test_a_teacher_of_another_depth_teaches_by_its_predictions(chain, command, tmp_path, planned):
    deep = tmp_path / "deep"
    config = dataclasses.replace(models.weights.load(chain.teacher).config, num_hidden_layers=5)
    with artifacts.writing(deep, "model") as writer:
        models.weights.save(writer, models.build(config, 1))
        tokenization.copy_files(chain.tokenizer, writer)
    command(
        pretrain_student,
        *arguments(
            chain, tmp_path, "distilled", "--teacher", deep, "--previous", transfer={"schedule": "none"}
        ),
    )
    assert planned["plan"].config["num_hidden_layers"] == 4
    assert planned["plan"].inputs["teacher"] == deep


def test_distilling_without_a_teacher_is_refused(chain, command, tmp_path):
    with pytest.raises(UserError, match="--teacher: missing"):
        command(pretrain_student, *arguments(chain, tmp_path, "distilled", "--previous", chain.student))
