"""benchmarks/results/data.md and data.png from the figures of `make bench-data`; nothing in them is
written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measuring import median
from mobilebert.storage.atomic import write_atomically

Parts = dict[str, dict[str, Any]]
ENDS = "ours, end to end"
MASKING = {"128": 90_000, "512": 27_000}  # sequences of a length
HEAD = """# The data half beside what people use

Written by `make bench-data`. {machine}.

- The corpus is the small world (12 % dirt): {large:.0f} MB of text; `small` and `corpus alone` are a third of
  it ({small:.0f} MB), single steps get {steps:.0f} MB. MB = 10^6 bytes of UTF-8 text. Peers get the first
  {slice:.1f} MB: they are linear.
- One pinned core unless said. CPU seconds (user and system) of the whole process tree; the median of
  {repeats} runs, all arms in turns (the real text once).
- "End to end" is the run of both stages through Beam in process ("beam 1"). Our tokenizer gives ids, offsets
  and word starts, of words cut before; the peers give ids (and offsets). Masks are drawn by the dataset that
  training reads, eight steps a call as training does.
- Ours always includes start-up, imports and reading and writing of files. Peers are counted after imports and
  the loading of dictionaries, which favours them.
- `classic` is our own plain writing of BERT's preparation (create_pretraining_data.py with jieba for whole
  words, as roberta_zh and Chinese-BERT-wwm have it: benchmarks/data/classic.py); it cleans nothing and drops
  no duplicate. Its `dupe` 10 writes ten differently masked copies, the variety that our dynamic masking has.
  `datatrove` is FineWeb-2's chain for cmn_Hani: MinHash, quality filters, ftfy, PII. The bare loop calls the
  functions of our stages one after the other; its files are the same to the byte.
"""


def write(measurements: Parts, folder: Path) -> None:
    """Write the page and, where there are rates to show, the plot."""
    rates = list(_rates(measurements))
    if rates:
        folder.mkdir(parents=True, exist_ok=True)
        plot(rates, folder / "data.png")
    write_atomically(folder / "data.md", page(measurements).encode())


def page(measurements: Parts) -> str:
    """The Markdown text; parts that were not measured are left out."""
    some = next(iter(measurements.values()))
    sizes = {name: size / 1e6 for name, size in some["sizes"].items()}
    repeats = max(len(runs) for section in measurements.values() for runs in section["arms"].values())
    blocks = [HEAD.format(machine=some["machine"], repeats=repeats, **sizes)]
    blocks.append(_told(_targets(measurements)))
    rates = [
        [name, f"{rate:,.2f}", f"{low:,.2f} to {high:,.2f}"] for name, rate, low, high in _rates(measurements)
    ]
    if rates:
        blocks += [
            "## Text a CPU second\n\n" + _table(["", "MB", "all runs"], rates),
            "![MB of text a CPU second](data.png)\n",
        ]
    rows = [row for section in ("loops", "real") for row in _stages(measurements, section)]
    if rows:
        head = [
            "run",
            "CPU s",
            "wall s",
            "of it importing",
            "clean",
            "records",
            "text kept, MB",
            "record bytes a byte",
        ]
        note = (
            "The columns `importing`, `clean` and `records` are seconds of the main process: with "
            "several workers it only waits.\n"
        )
        blocks.append("## Both stages\n\n" + _table(head, rows) + "\n" + note)
    if "masking" in measurements:
        rows = [
            [name, f"{median(runs, 'sequences') / median(runs, 'cpu'):,.0f}", f"{median(runs, 'cpu'):.1f}"]
            for name, runs in measurements["masking"]["arms"].items()
        ]
        blocks.append(
            "## Masking while training\n\n"
            + _table(["way and length", "sequences a CPU second", "CPU s"], rows)
        )
    return "\n".join(blocks)


def _told(targets: list[list[str]]) -> str:
    """The table of targets, after a sentence that says which are missed."""
    missed = [
        f"{name} ({measured}, {bound})" for name, measured, bound, verdict in targets if verdict != "met"
    ]
    summary = f"{len(targets) - len(missed)} of {len(targets)} are met" + (
        f"; missed: {'; '.join(missed)}." if missed else "."
    )
    starred = "With a star: figures that are watched, not promised."
    return f"## Targets\n\n{summary} {starred}\n\n{_table(['', 'measured', 'target', ''], targets)}"


def _targets(measurements: Parts) -> list[list[str]]:
    """Each target of the issue and of the reference page whose parts were measured: name, measured,
    target, met or not.
    """
    rate = {name: middle for name, middle, _, _ in _rates(measurements)}
    rows: list[list[str]] = []

    def add(
        name: str,
        value: float | None,
        least: float | None = None,
        most: float | None = None,
        number_format: str = ".2f",
    ) -> None:
        met = value is not None and (value >= least if least is not None else value <= (most or 0))
        if value is not None:
            bound = f"at least {least:,g}" if least is not None else f"at most {most:g}"
            rows.append([name, format(value, number_format), bound, "met" if met else "**not met**"])

    def ratio(name: str, one: str, other: str, least: float) -> None:
        add(
            name,
            rate[one] / rate[other] if one in rate and other in rate else None,
            least,
            number_format=".1f",
        )

    add("end to end, MB a second and core", rate.get(ENDS), 5)
    ratio("times the classic preparation, dupe 1", ENDS, "classic, dupe 1", 18)
    ratio("times the classic preparation, dupe 10", ENDS, "classic, dupe 10", 40)
    ratio("corpus stage: times datatrove", "ours, corpus alone", "datatrove", 40)
    ratio("tokenizer*: times `tokenizers` by documents", "ours, tokenizer", "tokenizers, documents", 8)
    ratio("tokenizer*: times `tokenizers` by lines", "ours, tokenizer", "tokenizers, lines", 12)
    fast = max((name for name in rate if name.startswith("FastBert")), key=rate.__getitem__, default="")
    ratio("tokenizer*: times FastBertTokenizer at its best", "ours, tokenizer", fast, 1)
    ratio("MinHash*: times datasketch", "ours, MinHash", "datasketch", 30)
    ratio("MinHash*: times rensa", "ours, MinHash", "rensa", 5)
    loops = measurements.get("loops", {}).get("arms", {})
    tree = {name: median(runs, "tree") for name, runs in loops.items()}
    wall = {name: median(runs, "wall") for name, runs in loops.items()}
    for count in (1, 2, 4):
        name = f"beam {count}"
        if name in tree:
            add(f"Beam over a bare loop, CPU seconds, {count} workers", tree[name] / tree["bare"], most=1.15)
        if count > 1 and name in wall:
            add(
                f"wall time*, 1 worker over {count}", wall["beam 1"] / wall[name], 1.85 if count == 2 else 3.4
            )
    if loops:
        first = loops["beam 1"][0]
        add("records, bytes a byte of kept text", first["bytes"] / first["text"], most=0.65)
    if "small" in tree:
        sizes = measurements["loops"]["sizes"]
        name = f"CPU seconds, {sizes['large'] / 1e6:.0f} MB over {sizes['small'] / 1e6:.0f} MB"
        add(name, tree["beam 1"] / tree["small"], most=3.15)
    for name, runs in measurements.get("masking", {}).get("arms", {}).items():
        how, length, *_ = name.replace(",", "").split()
        if how == "tf.data":
            speed = median(runs, "sequences") / median(runs, "cpu")
            add(
                f"masking{'*' * (length == '512')}, {name}, sequences a second and core",
                speed,
                MASKING[length],
                number_format=",.0f",
            )
    return rows


def _rates(measurements: Parts) -> list[tuple[str, float, float, float]]:
    """Name, and MB of text a CPU second: median, least, most."""
    rates = []
    for section, arms in (("loops", ["beam 1"]), ("peers", None), ("steps", None)):
        for name in (arms or measurements[section]["arms"]) if section in measurements else []:
            runs = measurements[section]["arms"][name]
            corpus = {"beam 1": "large", "ours, corpus alone": "small"}.get(
                name, "steps" if name.startswith("ours") else "slice"
            )
            key = "cpu" if corpus in ("steps", "slice") else "tree"
            size = measurements[section]["sizes"][corpus] / 1e6
            seconds = [run[key] for run in runs]
            named = ENDS if name == "beam 1" else name
            rates.append((named, size / median(runs, key), size / max(seconds), size / min(seconds)))
    return rates


def _stages(measurements: Parts, section: str) -> list[list[str]]:
    rows = []
    for name, runs in measurements.get(section, {}).get("arms", {}).items():
        figures = [f"{median(runs, key):.1f}" for key in ("tree", "wall", "import", "clean", "records")]
        kept, stored = runs[0]["kept"], runs[0]["bytes"] / runs[0]["text"]
        rows.append([f"{section}: {name}", *figures, f"{kept / 1e6:.1f}", f"{stored:.3f}"])
    return rows


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = "|" + "---|" * len(head)
    return (
        "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)])
        + "\n"
    )


def plot(rates: list[tuple[str, float, float, float]], path: Path) -> None:
    """Bars of MB a CPU second on a logarithmic axis; ours stand out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name, *_ in rates][::-1]
    middles = [middle for _, middle, _, _ in rates][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(names) + 1.2), layout="constrained")
    axes.barh(names, middles, color=["#c0392b" if name.startswith("ours") else "#95a5a6" for name in names])
    for position, middle in enumerate(middles):
        axes.text(
            middle * 1.05,
            position,
            f"{middle:.2f}" if middle < 10 else f"{middle:.0f}",
            va="center",
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_xlim(min(middles) / 2, max(middles) * 3)
    axes.set_xlabel("MB of text a CPU second, one core")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
