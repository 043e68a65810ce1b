"""Pictures of figures, as SVG files for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def lines(
    path: Path, by: str, drawn: Mapping[str, Sequence[tuple[float, float]]], *, upright: str
) -> None:
    """Draws points (x, y) joined by lines, one line a name, on logarithmic scales.

    `by` and `upright` say what x and y are, with their unit.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The salt, and no date: the same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "relo", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot(xscale="log", yscale="log", xlabel=by, ylabel=upright)
        for name, points in drawn.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
            last = points[-1]
            axes.annotate(f"{last[1]:,.1f}", last, (0, 7), textcoords="offset points", ha="center")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.margins(y=0.12)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
