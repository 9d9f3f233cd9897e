"""Settings files as people save them: encodings, signs that look like YAML's, repeated keys, aliases."""

from __future__ import annotations

from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from tests.workflow.conftest import snakemake
from workflow.settings import load
from workflow.yaml_files import faults, readable


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def unfolding(levels: int, width: int) -> str:
    lines = ["l0: &l0 [x]"]
    for level in range(1, levels + 1):
        lines.append(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * width)}]")
    return "\n".join(lines)


def test_a_repeated_key_is_named_with_its_line(tmp_path: Path) -> None:
    file = written(
        tmp_path, "run: a\ntransfer:\n  losses: corrected\n  schedule: joint\n  losses: published\n"
    )
    line = f"{file}:5: 'losses' stands twice; the first one would be lost, so remove one"
    assert faults(file) == [line]
    with pytest.raises(WorkflowError, match=line):
        load({}, [file])


def test_keys_that_are_lists_do_not_stop_the_reader(tmp_path: Path) -> None:
    assert faults(written(tmp_path, "? [1, 2]\n: 3\n")) == []


def test_an_empty_file_has_no_faults(tmp_path: Path) -> None:
    assert faults(written(tmp_path, "# nothing yet\n")) == []


def test_anchors_used_sensibly_are_no_fault(tmp_path: Path) -> None:
    text = "a: &a {steps: 9, decay: linear}\nb: *a\nc: {<<: *a, steps: 3}\nd: [*a, *a]\n"
    assert faults(written(tmp_path, text)) == []


def test_a_key_that_stands_twice_below_an_anchor_is_named_once(tmp_path: Path) -> None:
    assert len(faults(written(tmp_path, "a: &a {x: 1, x: 2}\nb: *a\nc: [*a, *a]\n"))) == 1


@pytest.mark.parametrize("text", [unfolding(9, 9), unfolding(60, 2), "a: &a [*a]", "a: &a {b: {c: *a}}"])
def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkflowError, match=r"mine\.yaml: its aliases .* write the values out"):
        faults(written(tmp_path, text))


def test_a_dry_run_ends_with_a_line_where_aliases_unfold(copied: Path, tmp_path: Path) -> None:
    file = written(tmp_path, unfolding(9, 9))
    done = snakemake(copied, "-n", "--profile", "tpu", "all", "--configfile", str(file), check=False)
    assert done.returncode == 1
    assert f"{file}: its aliases" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "big5"])
def test_config_yaml_in_another_encoding_is_refused_in_a_line(
    copied: Path, tmp_path: Path, encoding: str
) -> None:
    text = (copied / "config.yaml").read_text("utf-8") + "# 語料\n"
    (tmp_path / "config.yaml").write_bytes(text.encode(encoding))
    with pytest.raises(WorkflowError, match=r"config\.yaml is not UTF-8 \(line \d+\); save it as UTF-8"):
        readable(str(tmp_path / "config.yaml"))


@pytest.mark.parametrize("content", ["run: a\n", "\ufeffrun: a\r\nseed: 3\r\n", "run: a   \n"])
def test_what_yaml_reads_is_readable(tmp_path: Path, content: str) -> None:
    file = written(tmp_path, content)
    assert readable(str(file)) == str(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("corpus:\n\tsimplify: true\n", ":2: .*; write spaces there, not tabs"),
        ("run: a\nseed：3\ntasks: []\n", ":3: .*; ： is a full-width colon, write `:` and a space"),
        ('sources:\n- from: "D:\\text"\n  name: "\\z"\n', ":3: .*unknown escape"),
        ("a: [1, 2\nb: 3\n", ":2: "),
        ("run: a\nb: \x07\n", ": unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_refused_with_file_line_and_advice(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(WorkflowError, match=f"mine.yaml{message}") as caught:
        readable(str(written(tmp_path, content)))
    assert "\n" not in str(caught.value)


def test_a_damaged_config_yaml_ends_a_run_without_a_traceback(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes("run: a # 语料\n".encode("gbk"))
    done = snakemake(copied, "-n", "--directory", str(tmp_path), "--cores", "1", check=False)
    assert "config.yaml is not UTF-8 (line 1); save it as UTF-8" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
