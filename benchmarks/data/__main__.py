"""The data half beside what people use: `make bench-data` writes benchmarks/results/data.md and data.png.

One corpus (the small world from a seed; the real text of ../shared/data too where it is), one pinned core
unless said, CPU seconds, the median of runs in turns. Peers run on a slice, since they are linear; ours on
the whole, start-up included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.data import report
from benchmarks.measuring import Measured, in_turns, run

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results"
REAL = ("articles_markdown", "wiki_paragraphs_hans", "wiki_paragraphs_hant", "dialogue", "dedup_mix")
PERMUTATIONS = "112"
WITH_DIRT = 1.134  # bytes of text a byte asked of the small world, whose dirt and copies come on top
Arm = Callable[[], Measured]


@dataclass(frozen=True)
class Bench:
    """Where everything lies and how large it is."""

    folder: Path
    peers: Path  # Python of the peers' environment
    megabytes: float  # of text of the whole world; a third of it is the smaller corpus
    slice_megabytes: float
    repeats: int
    cores: list[int]

    def ours(self, name: str, number: int, *more: str, cores: int = 1) -> Arm:
        """A command of `benchmarks.data.ours`."""
        words = [sys.executable, "-m", "benchmarks.data.ours", name, str(self.folder), str(number), *more]
        return partial(run, words, self.cores[:cores], self.folder, {"PYTHONPATH": str(ROOT)})

    def stages(self, sources: str, how: str, threads: int) -> Arm:
        """Both data stages on a corpus."""
        return self.ours("stages", threads, how, str(self.folder / f"sources-{sources}"), cores=threads)

    def peer(self, name: str, number: int | str) -> Arm:
        """A command of peers.py on the slice."""
        script = str(ROOT / "benchmarks" / "data" / "peers.py")
        folder = self.folder / "peers"

        def arm() -> Measured:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            arguments_of = [
                str(self.folder / "slice" / "slice.jsonl"),
                str(self.folder / "tokenizer" / "vocab.txt"),
                str(folder),
                str(number),
            ]
            return run([str(self.peers), script, name, *arguments_of], self.cores[:1], self.folder)

        return arm


def main() -> None:
    """Prepare, measure the chosen parts, write the page from all that is measured."""
    options = arguments().parse_args()
    cores = sorted(os.sched_getaffinity(0))[:4]
    # Not below /tmp: the corpora of a run take several GB.
    bench = Bench(
        options.folder.resolve(),
        options.peers,
        options.megabytes,
        options.slice_megabytes,
        options.repeats,
        cores,
    )
    sizes = prepare(bench)
    for section in options.only.split(","):
        print(section, flush=True)
        measured = in_turns(PARTS[section](bench), 1 if section == "real" else bench.repeats)
        if (
            section == "loops"
            and len(
                {json.dumps(run["digests"]) for name in measured if name != "small" for run in measured[name]}
            )
            > 1
        ):
            sys.exit("the bare loop and Beam wrote different bytes: their times cannot be compared")
        body = {"machine": machine.describe(), "sizes": sizes, "arms": measured}
        (bench.folder / f"{section}.json").write_text(json.dumps(body, indent=1), encoding="utf-8")
    measurements = {
        section: json.loads(path.read_text("utf-8"))
        for section in PARTS
        if (path := bench.folder / f"{section}.json").exists()
    }
    report.write(measurements, options.out)
    print(f"Written: {options.out / 'data.md'}")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument(
        "--only",
        default=",".join(PARTS),
        help=f"parts to measure, of {','.join(PARTS)}; the page keeps the others",
    )
    made.add_argument(
        "--megabytes", type=float, default=300, help="text of the larger corpus; the smaller is a third of it"
    )
    made.add_argument("--slice-megabytes", type=float, default=2, help="what the peers get")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument(
        "--peers", type=Path, default=ROOT / ".venv-bench" / "bin" / "python", help="Python with the peers"
    )
    made.add_argument(
        "--folder", type=Path, default=ROOT / "results" / "bench-data", help="for corpora and raw figures"
    )
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of data.md and data.png")
    return made


def prepare(bench: Bench) -> dict[str, int]:
    """Make what is not there yet of the corpora, the tokenizer and the records for masking.

    Returns:
        UTF-8 bytes of the texts of each corpus.
    """
    sizes_file = bench.folder / "sizes.json"
    wanted = {"megabytes": bench.megabytes, "slice": bench.slice_megabytes}
    if sizes_file.exists() and (stored := json.loads(sizes_file.read_text("utf-8")))["of"] == wanted:
        return stored["sizes"]
    shutil.rmtree(bench.folder, ignore_errors=True)
    bench.folder.mkdir(parents=True)
    world = {
        "small_world": {"megabytes": bench.megabytes / WITH_DIRT, "questions": 20, "reviews": 20},
        "seed": 1,
    }
    _script("make_small_world", world, bench.folder / "world", "--threads", str(len(bench.cores)))
    documents = sorted((bench.folder / "world" / "documents").iterdir())
    chosen = {
        "large": documents,
        "small": documents[: -(-len(documents) // 3)],
        "masking": documents[: -(-len(documents) // 15)],
    }
    sizes = {}
    for name, paths in chosen.items():
        _linked(paths, bench.folder / name)
        sizes[name] = sum(_text_bytes(path) for path in paths)
        _sources(bench, name, [str(bench.folder / name / "*.jsonl")])
    (bench.folder / "slice").mkdir()
    sizes["slice"] = _cut(documents[0], bench.folder / "slice" / "slice.jsonl", bench.slice_megabytes * 1e6)
    _joined(chosen["masking"], bench.folder / "steps.jsonl")
    sizes["steps"] = sizes["masking"]
    if SHARED.is_dir():
        _sources(bench, "real", [str(SHARED / "corpus" / f"{name}.jsonl.gz") for name in REAL])
    _script("import_vocabulary", {}, bench.folder / "tokenizer", "--source", str(_vocabulary(bench)))
    corpus = bench.folder / "corpus-masking"
    _script("clean_corpus", {"corpus": {}}, corpus, "--sources", str(bench.folder / "sources-masking"))
    for length in (128, 512):
        more = ("--corpus", str(corpus), "--tokenizer", str(bench.folder / "tokenizer"))
        _script(
            "write_records",
            {"records": {"sequence_length": length}, "seed": 1},
            bench.folder / f"masked-{length}",
            *more,
        )
    sizes_file.write_text(json.dumps({"of": wanted, "sizes": sizes}), encoding="utf-8")
    return sizes


def peers(bench: Bench) -> dict[str, Arm]:
    """Whole preparations, and our corpus stage beside datatrove; ours end to end is the loops' "beam 1"."""
    return {
        "ours, corpus alone": bench.ours("filters", 1, str(bench.folder / "sources-small")),
        "classic, dupe 1": bench.peer("classic", 1),
        "classic, dupe 10": bench.peer("classic", 10),
        "datatrove": bench.peer("datatrove", 0),
    }


def steps(bench: Bench) -> dict[str, Arm]:
    """Single steps beside libraries."""
    texts = str(bench.folder / "steps.jsonl")
    return {
        "ours, tokenizer": bench.ours("tokenizer", 0, texts),
        "tokenizers, documents": bench.peer("tokenizers", 0),
        "tokenizers, lines": bench.peer("tokenizers", 1),
        "FastBertTokenizer, batches of 64": bench.peer("tensorflow_text", 64),
        "FastBertTokenizer, batches of 1024": bench.peer("tensorflow_text", 1024),
        "ours, MinHash": bench.ours("minhash", 0, texts),
        "datasketch": bench.peer("datasketch", PERMUTATIONS),
        "rensa": bench.peer("rensa", PERMUTATIONS),
    }


def loops(bench: Bench) -> dict[str, Arm]:
    """The larger corpus by a bare loop and by Beam with one, two and four workers; and the smaller one."""
    workers = [count for count in (1, 2, 4) if count <= len(bench.cores)]
    beam = {f"beam {count}": bench.stages("large", "beam", count) for count in workers}
    return {"bare": bench.stages("large", "bare", 1)} | beam | {"small": bench.stages("small", "beam", 1)}


def masking(bench: Bench) -> dict[str, Arm]:
    """Masks drawn while training: the dataset at the batch sizes of the presets and of the demo, and the
    function under it.
    """
    kinds = {"tf.data": (384, 128, 32), "numpy": (384,)}
    lengths = {128: kinds, 512: {"tf.data": (384,)}}
    return {
        f"{how} {length}, batch {batch}": bench.ours("masking", length, how, str(batch))
        for length, hows in lengths.items()
        for how, batches in hows.items()
        for batch in batches
    }


def real(bench: Bench) -> dict[str, Arm]:
    """The real text, if it is there."""
    return {"ours": bench.stages("real", "beam", 1)} if (bench.folder / "sources-real").exists() else {}


PARTS: dict[str, Callable[[Bench], dict[str, Arm]]] = {
    made.__name__: made for made in (peers, steps, loops, masking, real)
}  # fmt: skip


def _script(name: str, settings: dict[str, Any], out: Path, *more: str) -> None:
    words = [
        sys.executable,
        "-m",
        f"scripts.{name}",
        "--settings",
        json.dumps(settings),
        "--out",
        str(out),
        *more,
    ]
    subprocess.run(words, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


def _sources(bench: Bench, name: str, paths: list[str]) -> None:
    listed = [
        {"name": f"source{number}", "from": path, "format": "jsonl"} for number, path in enumerate(paths)
    ]
    _script("list_sources", {"sources": listed}, bench.folder / f"sources-{name}")


def _vocabulary(bench: Bench) -> Path:
    """Google's Chinese vocabulary where it is, else one of all characters of the first part."""
    if (SHARED / "vocab" / "vocab.txt").is_file():
        return SHARED / "vocab" / "vocab.txt"
    characters = sorted(set((bench.folder / "slice" / "slice.jsonl").read_text("utf-8")) - set(" \n\u2028"))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = bench.folder / "vocab.txt"
    made.write_bytes(
        "\n".join([*special, *characters, *(f"##{each}" for each in characters), ""]).encode(
            "utf-8", "replace"
        )
    )
    return made


def _linked(paths: list[Path], folder: Path) -> None:
    folder.mkdir()
    for path in paths:
        os.link(path, folder / path.name)


def _joined(paths: list[Path], out: Path) -> None:
    with out.open("wb") as stream:
        for path in paths:
            stream.write(path.read_bytes())


def _cut(path: Path, out: Path, most: float) -> int:
    """The first lines with `most` bytes of text; the bytes there are."""
    size = 0
    with path.open(encoding="utf-8") as stream, out.open("w", encoding="utf-8") as cut:
        for line in stream:
            cut.write(line)
            size += len(json.loads(line)["text"].encode())
            if size >= most:
                break
    return size


def _text_bytes(path: Path) -> int:
    with path.open(encoding="utf-8") as stream:
        return sum(len(json.loads(line)["text"].encode()) for line in stream)


if __name__ == "__main__":
    main()
