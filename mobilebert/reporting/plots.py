"""Curves and bars as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]
# No date in the file and fixed ids, so that equal figures are equal bytes; text stays text, so that it can be
# searched.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mobilebert-zh",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def curves(
    series: Mapping[str, Rows], quantity: str, *, ylabel: str, dashed: str = "", log: bool = False
) -> str:
    """An SVG of one quantity against the step, a line for each series that has it; "" when none has.

    Args:
        series: name -> rows of metrics.jsonl (`step` and quantities).
        quantity: the column to draw.
        ylabel: what the vertical axis says.
        dashed: another column, drawn dashed in the same colour, with a dot for each value.
        log: logarithmic vertical axis.
    """
    drawn = {name: points for name, rows in series.items() if (points := _points(rows, quantity))}
    if not drawn:
        return ""

    def draw(axes: Any) -> None:
        for name, points in drawn.items():
            (line,) = axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
            if others := _points(series[name], dashed):
                style = {"linestyle": "--", "linewidth": 1.0, "marker": ".", "color": line.get_color()}
                axes.plot(*zip(*others, strict=True), label=f"{name}, held out", **style)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(ylabel)
        if log:
            axes.set_yscale("log")
        axes.legend(frameon=False)

    return _svg(draw)


def _points(rows: Rows, quantity: str) -> list[tuple[float, float]]:
    return [(row["step"], row[quantity]) for row in rows if quantity in row]


def bars(values: Iterable[tuple[str, float]], *, xlabel: str, mark: tuple[str, float] | None = None) -> str:
    """An SVG of horizontal bars from the top, each with its value; `mark` draws a dashed line with a name,
    such as a baseline.
    """
    rows = list(values)
    if not rows:
        return ""

    def draw(axes: Any) -> None:
        positions = range(len(rows), 0, -1)
        drawn = axes.barh(positions, [value for _, value in rows], color="#4c78a8", height=0.6)
        axes.bar_label(drawn, fmt="%.3f", padding=3)
        axes.set_yticks(positions, [name for name, _ in rows])
        axes.set_xlabel(xlabel)
        axes.margins(x=0.15)
        if mark is not None:
            axes.axvline(mark[1], linestyle="--", color="#888888", linewidth=1)
            axes.annotate(mark[0], (mark[1], 0.5), xytext=(3, 0), textcoords="offset points", color="#666666")

    return _svg(draw, height=0.6 + 0.4 * len(rows))


def _svg(draw: Any, height: float = 3.0) -> str:
    import matplotlib  # here: only reports need it, and it is slow to load

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7.0, height), layout="constrained")
        draw(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]
