"""Settings: readable refusals, YAML's traps, and documents that are never stale."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.exceptions import WorkflowError

from mobilebert.distillation import recipes
from mobilebert.settings import Settings, derive_seed, own_shapes, parse, to_json, without_paths
from mobilebert.settings.refusals import all_settings
from tests.workflow.conftest import snakemake
from workflow.document import DOCUMENT, SCHEMA, document, schema
from workflow.inputs.exports import ExportInputs
from workflow.settings import load


def refusal(config: dict[str, Any], *files: Path) -> list[str]:
    with pytest.raises(WorkflowError) as refused:
        load(config, files)
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"studnets": ["mini"]}, "studnets: no such setting; did you mean students?"),
        ({"transfer": {"mean_facter": 1}}, ("transfer.mean_facter: no such setting; did you mean "
                                           "transfer.mean_factor?")),
        ({"warmup_steps": 1}, ("warmup_steps: no such setting; did you mean "
                              "pretraining.training.warmup_steps?")),
        ({"run": False}, ("run: found False: a text is expected (YAML reads yes, no, on and off as "
                         "true/false: quote them)")),
        ({"seed": True}, ("seed: found True: a number is expected, found true/false (YAML reads yes, no, on "
                         "and off so)")),
        ({"seed": "many"}, "seed: found 'many': a whole number is expected"),
        ({"corpus": {"on_error": "skp"}}, ("corpus.on_error: found 'skp': expected 'skip' or 'stop'; did "
                                          "you mean skip?")),
        ({"students": ["base-f3"]}, None),
        ({"masking": {"share": 1.5}}, "masking.share: found 1.5: input should be less than 1"),
        ({"sources": [{"name": "a"}]}, "sources[0].from: missing"),
        (
            {"transfer": {"schedule": "None"}},
            "transfer.schedule: found 'None': write none for no transfer, or null for what the recipe has",
        ),
    ],
)  # fmt: skip
def test_one_readable_line_for_each_wrong_setting(config: dict[str, Any], line: str | None) -> None:
    found = refusal(config)
    assert len(found) == 1
    assert line is None or found[0] == line
    assert "pydantic" not in found[0]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"teacher": {"kind": "transformers"}}, ["teacher.path", "vocabulary.kind"]),
        ({"teacher": {"kind": "tf1"}}, ["teacher.path", "vocabulary.kind"]),
        ({"teacher": {"retrain_head": True}}, ["teacher.retrain_head"]),
        (
            {"teacher": {"head_training": {"steps": 10, "warmup_steps": 20}}},
            ["teacher.head_training.warmup_steps"],
        ),
        (
            {
                "teacher": {"kind": "tf1", "path": "x"},
                "vocabulary": {"kind": "teacher"},
                "students": ["base-f2", "base-f4", "large-f2"],
            },
            ["students"],
        ),
        ({"vocabulary": {"kind": "teacher"}}, ["vocabulary.kind"]),
        ({"vocabulary": {"kind": "file"}}, ["vocabulary.path"]),
        ({"vocabulary": {"lowercase": "maybe"}}, ["vocabulary.lowercase"]),
        ({"records": {"sequence_length": 16}}, ["masking.max_predictions"]),
        ({"student": {"from": "somewhere"}}, ["student.from"]),
        (
            {
                "student": {"from": "somewhere"},
                "transfer": {"schedule": "none"},
                "students": ["mini", "tiny"],
            },
            ["student.from"],
        ),
        ({"students": ["mini", "tiny"]}, ["students", "students"]),
        ({"records": {"next_sentence": True}}, ["records.next_sentence"]),
        ({"records": {"user_dictionary": "absent.txt"}}, ["records.user_dictionary"]),
        ({"records": {"from": "results/other/records"}}, ["records.from", "records.from"]),
        ({"corpus": {"against": ["results/other/corpus"]}}, ["corpus.against"]),
        ({"corpus": {"against": ["results/demo/corpus/"]}}, ["corpus.against"]),
        ({"corpus": {"against": ["a", "a/"]}}, ["corpus.against"] * 3),
        ({"corpus": {"simplify": True}}, ["corpus.simplify"]),
        ({"publish": {"to": "s3://bucket"}}, ["publish.to"]),
        ({"publish": {"to": "gs://"}}, ["publish.to"]),
        ({"publish": {"version": "../1"}}, ["publish.version"]),
        ({"run": ".."}, ["run"]),
        ({"teacher": {"name": ".."}}, ["teacher.name"]),
        ({"teacher": {"path": "somewhere"}}, ["teacher.path"]),
        ({"export": {"formats": []}}, ["export.formats"]),
        ({"export": {"formats": ["tflite", "tflite"]}}, ["export.formats"]),
        ({"pretraining": {"training": {"warmup_steps": 500}}}, ["pretraining.training.warmup_steps"]),
        (
            {
                "pretraining": {
                    "training": {
                        "phases": [
                            {"share": 0.9, "sequence_length": 600},
                            {"share": 0.1, "sequence_length": 32},
                        ]
                    }
                }
            },
            ["pretraining.training.phases", "pretraining.training.phases[0].sequence_length"],
        ),
        (  # 0.7 + 0.2 + 0.1 is 0.9999999999999999
            {
                "transfer": {
                    "training": {
                        "phases": [{"share": share, "sequence_length": 16} for share in (0.7, 0.2, 0.1)]
                    }
                }
            },
            ["transfer.training.phases"],
        ),
        ({"transfer": {"losses": "google_tf2", "schedule": "joint"}}, ["transfer.losses"]),
        ({"transfer": {"losses": "google_tf2", "schedule": "auxiliary"}}, ["transfer.losses"]),
        (
            {"recipe": "chinese", "transfer": {"training": {"optimizer": "lamb"}}},
            ["transfer.training.optimizer"],
        ),
        ({"recipe": "google", "transfer": {"training": {"steps": 1}}}, ["transfer.training.steps"]),
        ({"pretraining": {"next_sentence": True}}, ["pretraining.next_sentence"]),
        (
            {
                "transfer": {
                    "matches": [{"teacher_layer": 5, "student_layer": 1, "feature": "hidden", "loss": "mean"}]
                }
            },
            ["transfer.matches[0].teacher_layer"],
        ),
        (
            {
                "transfer": {
                    "matches": [{"teacher_layer": 9, "student_layer": 5, "feature": "hidden", "loss": "mean"}]
                },
                "teacher": {"kind": "transformers", "path": "somewhere"},
                "vocabulary": {"kind": "teacher"},
            },
            ["transfer.matches[0].student_layer"],
        ),
        (
            {
                "transfer": {
                    "matches": [
                        {"teacher_layer": 1, "student_layer": 1, "feature": "hidden", "loss": "cross_entropy"}
                    ]
                }
            },
            ["transfer.matches[0]"],
        ),
        ({"sources": [{"name": "a", "from": "~/text"}]}, ["sources[0].from"]),
        ({"corpus": None}, ["corpus"]),
        ({"corpus": {"rejects_per_reason": "some"}}, ["corpus.rejects_per_reason"]),
        ({"tasks": ["cmrc2018", "cmrc2018"]}, ["tasks"]),
        ({"beam": {"runner": "dataflow"}}, ["beam.work"]),
        ({"state_bucket": "s3://b/p"}, ["state_bucket"]),
        (
            {"training": {"evaluate_every": 0, "keep": "best", "early_stop": 2}},
            ["training.keep", "training.early_stop"],
        ),
        ({"training": {"keep": "best", "evaluate_every": 5}, "recipe": "chinese"}, ["training.keep"]),
        ({"training": {"early_stop": 2, "evaluate_every": 5}, "recipe": "chinese"}, ["training.early_stop"]),
        (
            {"training": {"early_stop": 2, "evaluate_every": 5}, "baselines": ["tables"]},
            ["training.early_stop"],
        ),
        ({"on_nonfinite": "ignore"}, ["on_nonfinite"]),
        ({"beam": {"pipeline_options": ["--runner=DirectRunner"]}}, ["beam.pipeline_options"]),
        ({"beam": {"pipeline_options": ["region=x"]}}, ["beam.pipeline_options[0]"]),
    ],
)
def test_wrong_combinations_say_what_to_change(config: dict[str, Any], named: list[str]) -> None:
    assert [line.split(":")[0] for line in refusal(config)] == named


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"seed": "many", "publish": {"to": "s3://x"}}, ["seed", "publish.to"]),
        ({"beam": {"runner": "fink"}, "tasks": ["cmrc2018", "cmrc2018"]}, ["beam.runner", "tasks"]),
        ({"studnets": [], "vocabulary": {"kind": "file"}}, ["studnets", "vocabulary.path"]),
        ({"corpus": {"min_han_share": 2}, "students": ["base-f3"]}, ["corpus.min_han_share", "students"]),
        # What would follow from a default in place of the wrong setting is not said.
        ({"teacher": {"kind": "transfomers"}, "vocabulary": {"kind": "teacher"}}, ["teacher.kind"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_and_a_wrong_combination_are_both_named(
    config: dict[str, Any], named: list[str]
) -> None:
    assert [line.split(":")[0] for line in refusal(config)] == named


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"corpus": "simplify： true"}, "： is a full-width colon: YAML takes `:` and a space"),
        ({"run": "“demo”"}, "“ and ” are text to YAML"),
        ({"publish": {"to": "“published”"}}, "quotation marks of Chinese texts belong to the path"),
        ({"corpus": [1, 2]}, "corpus: found [1, 2]: settings in lines `name: value` below it are expected"),
        ({"students": "mini"}, "students: found 'mini': a list is expected, such as ['mini']"),
        ({"sources": {"name": "a", "from": "b"}}, "a list is expected"),
        ({"shapes": ["a.json"]}, "lines `name: value` below it are expected"),
        ({"x-mine": {"steps": 1}}, "x-mine: no such setting"),
        ({"corpus": {"最小": 1}}, "corpus.最小: no such setting"),
        ({"run": "演示"}, "run: found '演示': a name of a-z, A-Z, 0-9, _, - and . is expected"),
        ({"seed": "x" * 999}, f"found '{'x' * 79}…: a whole number is expected"),
        ({"sources": [{"name": "a", "from": "D:\\text"}]}, "a path of Windows"),
    ],
)  # fmt: skip
def test_what_people_write_for_yaml_is_refused_with_advice(config: dict[str, Any], line: str) -> None:
    assert line in refusal(config)[0]


def test_a_long_training_on_the_generated_world_is_refused() -> None:
    training = {"training": {"steps": 2_000_000, "batch_size": 384}}
    assert [line.split(":")[0] for line in refusal({"pretraining": training})] == ["sources"]
    load({"pretraining": training, "sources": [{"name": "mine", "from": "corpus"}]}, [])
    load({"pretraining": {"training": {"steps": 20_000}}}, [])


def test_a_run_with_a_wrong_setting_ends_before_any_job(copied: Path) -> None:
    done = snakemake(copied, "--profile", "tpu", "all", "--config", "studnets=mini", check=False)
    assert done.returncode == 1
    assert "studnets: no such setting; did you mean students?" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert not (copied / "results").exists()


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    read = yaml.safe_load("transfer: {training: {learning_rate: 1e-4, steps: 1e3}}")
    assert isinstance(read["transfer"]["training"]["learning_rate"], str)
    training = load(read, []).transfer.training
    assert training.learning_rate == 1e-4
    assert training.steps == 1000


def test_null_in_nested_text_of_config_is_nothing() -> None:
    assert load(yaml.safe_load("publish: {to: 'null'}"), []).publish.to is None
    assert load({"publish": {"to": ""}}, []).publish.to is None


def test_the_generated_documents_are_fresh() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run `make settings`"
    assert SCHEMA.read_text("utf-8") == schema(), "run `make settings`"


def test_config_yaml_is_complete_and_in_the_order_of_the_pipeline(root: Path) -> None:
    def paths(value: Any, prefix: str = "") -> list[str]:
        if isinstance(value, dict) and value:  # an empty one stands for the user's own names
            return [
                path for key, inner in value.items() for path in paths(inner, f"{prefix}.{key}".strip("."))
            ]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return paths(value[0], prefix)
        if value == []:  # an empty list of sections stands for their settings
            return [
                path for path in all_settings(Settings) if path == prefix or path.startswith(f"{prefix}.")
            ]
        return [prefix]

    assert paths(yaml.safe_load((root / "config.yaml").read_text("utf-8"))) == all_settings(Settings)


def test_every_block_of_config_yaml_has_a_comment(root: Path) -> None:
    lines = (root / "config.yaml").read_text("utf-8").splitlines()
    blocks = [place for place, line in enumerate(lines) if re.match(r"[a-z_]+:$", line)]
    grouped = {"task:", "student:", "finetuning:"}  # stand under the comment of the list above them
    assert [
        lines[place]
        for place in blocks
        if lines[place] not in grouped and not lines[place - 1].startswith("#")
    ] == []


def test_sections_come_back_as_settings_with_defaults_beside_them() -> None:
    settings = Settings.model_validate(
        {"task": {"cmrc2018": {"training": {"epochs": 7}}}, "student": {"from": "a"}, "seed": 3}
    )
    text = to_json(settings, "task.cmrc2018.training", "student", "seed", "sources", "teacher.shape")
    assert parse(text) == settings


def test_configurations_of_own_shapes_come_back_beside_the_settings() -> None:
    text = '{"seed": 3, "shapes": {"mine": {"hidden_size": 8}}}'
    assert (parse(text), own_shapes(text)) == (Settings(seed=3), {"mine": {"hidden_size": 8}})


def test_manifests_do_not_show_where_a_users_own_files_lie() -> None:
    body = {"corpus": {"from": "a/b", "decontaminate": ["c"]}, "student": {"from": "d"}, "seed": 3}
    shown = without_paths(json.loads(to_json(Settings.model_validate(body), "corpus", "student", "seed")))
    assert shown["seed"] == 3
    assert shown["corpus"]["min_characters"] == Settings().corpus.min_characters
    assert not {"from", "decontaminate"} & {*shown["corpus"], *shown["student"]}


def test_what_rules_receive_has_no_null_of_a_recipe() -> None:
    loaded = load({"recipe": "chinese"}, [])
    assert loaded == recipes.resolve(Settings.model_validate({"recipe": "chinese"}))


def test_stage_seeds_differ_by_name_and_are_stable() -> None:
    assert derive_seed(20, "a") == derive_seed(20, "a")
    assert (
        len({derive_seed(seed, name, number) for seed in (1, 2) for name in "ab" for number in (0, 1)}) == 8
    )
    assert all(0 <= derive_seed(seed, "x") < 2**31 for seed in range(100))


def test_the_card_gets_the_licences_of_the_text_of_this_run_only() -> None:
    def licences(body: dict[str, Any]) -> Any:
        return json.loads(ExportInputs(Settings.model_validate(body)).publish_settings())["licences"]

    source = {"name": "wiki", "from": "wiki.xml", "licence": "CC-BY-SA-4.0"}
    assert licences({"sources": [source]}) == {"wiki": "CC-BY-SA-4.0"}
    assert licences({"sources": [source], "corpus": {"from": "results/other/corpus"}}) == {}
