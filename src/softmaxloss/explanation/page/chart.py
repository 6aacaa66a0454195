"""Pictures as SVG, without a script: the bars in a table, the path of descent."""

import math

from ..one_data import Path
from ..rendering.numbers import number

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 40, 70, 12, 30
EMPTY_CHART = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"></svg>'


def bar(a: float, n: int | str) -> str:
    """A bar for a probability in a table."""
    width = 0.0 if math.isnan(a) else min(a, 1.0)
    return (
        '<svg class="bar" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect data-bar="{n}" width="{width:.5g}" height="1"/></svg>'
    )


def path_chart(path: Path, y: str) -> str:
    """a_y and J over the number of steps, on a logarithmic scale, log(1 + steps).

    chart.js draws the same from its numbers. The losses must be finite.
    """
    most = max(int(path.steps[-1]), 1)
    top = max(float(path.loss.max()), 1e-9)
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return LEFT + inner_width * math.log1p(step) / math.log1p(most)

    def at(share: float) -> float:
        return TOP + inner_height * (1 - share)

    def line(name: str, values: list[float]) -> str:
        points = " ".join(
            f"{x(s):.1f},{at(v):.1f}" for s, v in zip(path.steps.tolist(), values, strict=True)
        )
        return f'<polyline data-line="{name}" class="{name}" points="{points}"/>'

    ticks = [k for k in (0, 1, 10, 100, 1000, 10_000, 100_000) if k < most]
    if len(ticks) > 1 and x(most) - x(ticks[-1]) < 48:
        ticks.pop()
    ticks.append(most)
    marks = "".join(
        f'<text x="{x(k):.1f}" y="{HEIGHT - 10}" class="tick middle">{k}</text>' for k in ticks
    )
    sides = "".join(
        f'<text x="{LEFT - 6}" y="{at(share) + 4:.1f}" class="tick a end">{share:g}</text>'
        f'<text x="{WIDTH - RIGHT + 6}" y="{at(share) + 4:.1f}" class="tick J">'
        f"{number(top * share, 0 if top >= 100 else 2)}</text>"
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at(share):.1f}" '
        f'y2="{at(share):.1f}"/>'
        for share in (0.0, 0.5, 1.0)
    )
    said = (
        f"Over {most} steps of descent the probability of {y} goes from "
        f"{number(path.target_probability[0])} to {number(path.target_probability[-1])}, the loss "
        f"from {number(path.loss[0])} to {number(path.loss[-1])}."
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f"{sides}{marks}"
        f"{line('a', path.target_probability.tolist())}"
        f"{line('J', (path.loss / top).tolist())}</svg>"
    )
