"""The rule clean_corpus: a sources artifact in, documents, rejects and the funnel out."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq

from mobilebert.corpus.sources.listing import list_sources
from mobilebert.settings import Source
from mobilebert.storage import artifacts

PROSE = (
    "在这个故事里，我们的主人公来到了一座没有名字的城市。他说：“这里的人都很好。”后来他就不想走了，一住就是三十年。"
    "每天早上，他都要去河边走一走，看看远处的山，再回到家里写几行字，到了晚上才去见朋友。"
)


def test_sources_become_documents(root, tmp_path):
    texts = [
        PROSE,
        PROSE,
        "短。",
        "另外一天的事情，" + PROSE[30:] + "这一次他没有回来，大家都在等他，等了很久很久，直到天黑。",
    ]
    (tmp_path / "x.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8"
    )
    list_sources(
        [Source.model_validate({"name": "x", "from": str(tmp_path / "x.jsonl")})],
        tmp_path / "sources",
        None,
        [],
    )
    settings = json.dumps({"corpus": {"near_duplicates": False}})
    command = [
        sys.executable,
        "-m",
        "scripts.clean_corpus",
        "--settings",
        settings,
        "--sources",
        str(tmp_path / "sources"),
    ]
    subprocess.run(
        [*command, "--out", str(tmp_path / "corpus"), "--log", str(tmp_path / "log"), "--threads", "2"],
        cwd=root,
        check=True,
    )
    manifest = artifacts.read(tmp_path / "corpus", "corpus")
    assert manifest.inputs == {"sources": artifacts.digest(tmp_path / "sources")}
    assert [row["text"] for row in pq.read_table(tmp_path / "corpus" / "part-00000.parquet").to_pylist()] == [
        texts[0],
        texts[3],
    ]
    funnel = json.loads((tmp_path / "corpus" / "funnel.json").read_text(encoding="utf-8"))
    assert {reason: entry["documents"] for reason, entry in funnel["total"]["reasons"].items()} == {
        "exact_duplicate": 1,
        "too_short": 1,
    }
    assert "1 documents" not in (tmp_path / "log").read_text(encoding="utf-8")
    assert "2 documents" in (tmp_path / "log").read_text(encoding="utf-8")
