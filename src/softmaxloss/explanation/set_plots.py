"""The pictures of a set by matplotlib, which is loaded here and nowhere else."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..files.atomic import atomic_write
from ..text import plural
from .rendering.names import in_table
from .rendering.numbers import fixed_percent
from .set_charts import loss_bins
from .set_data import SetData
from .set_words import finding

#: The suffixes of the files that `save_plots` writes.
PLOTS = (".svg", ".png")

MAPPED = 30  # classes in the matrix; of more, those that are confused most
NAMED = 40  # classes with a name on the axis
CELLS = 16  # of a class name on an axis


def save_plots(e: SetData, path: str | os.PathLike[str]) -> None:
    """Write the figure as .svg or .png, with an atomic write."""
    suffix = Path(path).suffix.lower()
    if suffix not in PLOTS:
        raise OptionError(f"plots are written as {' or '.join(PLOTS)}, not {suffix or 'no suffix'}")
    drawn = figure(e)
    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name in letters that the font does not have
        drawn.savefig(file, format=suffix[1:], metadata={"Date": None} if suffix == ".svg" else {})


def load_matplotlib() -> Any:
    """matplotlib's Figure. Raises OptionError where it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("plots need matplotlib: pip install matplotlib") from None
    return Figure


def figure(e: SetData) -> Any:
    """A matplotlib Figure of four plots: confusion counts, recall, losses, reliability."""
    drawn = load_matplotlib()(figsize=(11, 9), layout="constrained")
    drawn.suptitle(finding(e), parse_math=False)
    axes = drawn.subplots(2, 2)
    if e.counts.any():
        for draw, part in zip(
            (_confusions, _recall, _losses, _reliability), axes.flat, strict=True
        ):
            draw(e, part)
    return drawn


def _confusions(e: SetData, axes: Any) -> None:
    shown = list(range(e.counts.size))
    if len(shown) > MAPPED:
        chosen: list[int] = []
        for pair in e.confusions.most(MAPPED):
            chosen += [n for n in (pair.true, pair.predicted) if n not in chosen]
        shown = sorted(chosen[:MAPPED])
    matrix = e.confusions.matrix(shown)
    with np.errstate(invalid="ignore"):
        shares = matrix / e.counts[shown][:, np.newaxis]
    image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    axes.set(title="Confusion counts", xlabel="predicted class", ylabel="true class")
    names = [in_table(e, n, CELLS) for n in shown]
    size = 10 if len(shown) <= 12 else 7
    axes.set_xticks(range(len(shown)), names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(shown)), names, fontsize=size, parse_math=False)
    if len(shown) <= 12:
        for (i, n), times in np.ndenumerate(matrix):
            if times:
                color = "white" if shares[i, n] > 0.4 else "black"
                axes.text(n, i, str(times), ha="center", va="center", color=color, fontsize=8)
    bar = axes.figure.colorbar(image, ax=axes, ticks=np.sqrt([0, 0.01, 0.1, 0.25, 0.5, 1]))
    bar.ax.set_yticklabels(["0 %", "1 %", "10 %", "25 %", "50 %", "100 %"])
    bar.set_label("share of the true class")


def _recall(e: SetData, axes: Any) -> None:
    known = np.flatnonzero(e.counts)
    order = known[np.argsort(e.confusions.recall[known], kind="stable")]
    axes.bar(range(order.size), e.confusions.recall[order], width=0.9)
    title = "Recall by class" + (", the lowest first" if order.size > 1 else "")
    axes.set(title=title, xlabel="class", ylabel="recall", ylim=(0, 1))
    if order.size <= NAMED:
        names = [in_table(e, n, CELLS) for n in order.tolist()]
        axes.set_xticks(range(order.size), names, rotation=90, parse_math=False)


def _losses(e: SetData, axes: Any) -> None:
    bins = loss_bins(e)
    right = [one.examples - one.wrong for one in bins]
    axes.bar(range(len(bins)), right, width=0.9, label="predicted right")
    axes.bar(
        range(len(bins)), [one.wrong for one in bins], width=0.9, bottom=right, color="firebrick",
        label="predicted wrong",
    )  # fmt: skip
    places = range(0, len(bins), max(1, len(bins) // 6))
    axes.set_xticks([k - 0.5 for k in places], [f"{bins[k].least:.2g}" for k in places])
    mean = "none" if math.isnan(e.mean_loss) else f"{e.mean_loss:.4f}"
    axes.set(title=f"Losses (mean {mean} nats)", xlabel="loss in nats", ylabel="examples")
    axes.legend()


def _reliability(e: SetData, axes: Any) -> None:
    c = e.calibration
    middles = (np.arange(c.counts.size) + 0.5) / c.counts.size
    axes.bar(middles, np.nan_to_num(c.accuracy), width=0.9 / c.counts.size, label="accuracy")
    axes.plot(middles, c.confidence, "k_", markersize=12, label="mean confidence")
    axes.plot([0, 1], [0, 1], "k--", linewidth=1)
    count = plural(int(c.counts.sum()), "example")
    title = f"Reliability (ECE {fixed_percent(c.ece)}, {count})"
    axes.set(title=title, xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
