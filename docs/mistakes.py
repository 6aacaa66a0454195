"""Write the mistakes that `check` knows, and example reports, into docs/check.md.

python -m docs.mistakes
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from softmaxloss import check
from softmaxloss.checking.bank import (
    Mistake,
    behaviour,
    denominator,
    gradient,
    log,
    loss,
    options,
    scale,
    softmax,
    target,
)
from softmaxloss.files.atomic import atomic_write_text

PAGE = Path(__file__).parent / "check.md"
GROUPS = {
    "In the probabilities": softmax.MISTAKES,
    "In the sum of the exponentials": denominator.MISTAKES,
    "In the log of the probabilities": log.MISTAKES,
    "With the labels": target.MISTAKES,
    "In the loss": loss.MISTAKES,
    "In the gradient": [*gradient.MISTAKES, *scale.MISTAKES],
    "With options, invalid labels and upstream gradients": options.MISTAKES,
    "In the calls, or in several steps": behaviour.MISTAKES,
}


def table(mistakes: list[Mistake]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    rows = [
        f'| <a id="{m.id}"></a>`{m.id}` | {m.kind} | {cell(m.title)} | {cell(m.why)} | '
        f"`{cell(m.fix)}` |"
        for m in mistakes
    ]
    head = ["| id | kind | what | why it is wrong | instead |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def listing() -> str:
    """The tables of all groups."""
    return "".join(f"\n### {name}\n{table(mistakes)}\n" for name, mistakes in GROUPS.items())


def minus(z: Any, y: Any) -> Any:
    """exp(−z) for exp(z), without subtracting the maximum."""
    a = np.exp(-z) / np.exp(-z).sum(axis=1, keepdims=True)
    return -np.log(a[np.arange(len(y)), y]).mean()


def summed(z: Any, y: Any) -> Any:
    """The sum of the losses."""
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_a[np.arange(len(y)), y].sum()


def example(function: Any) -> str:
    """The report on a function."""
    with np.errstate(all="ignore"):
        return f"```text\n{check(function, seed=3)}```\n"


def written(page: str) -> str:
    """The page with the examples and the tables between their markers."""
    for name, text in (
        ("an example", example(minus)),
        ("a right example", example(summed)),
        ("the mistakes", listing()),
    ):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{text}{end}{rest.partition(end)[2]}"
    return page


def main() -> None:
    atomic_write_text(PAGE, written(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
