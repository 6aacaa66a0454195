"""Write the mistakes that `check` knows into docs/check.md, between its two marks.

python -m docs.mistakes
"""

from __future__ import annotations

from pathlib import Path

from softmaxloss.check.bank import Mistake, behaviour, gradient, loss, options, softmax, target
from softmaxloss.files.whole import write_whole

PAGE = Path(__file__).parent / "check.md"
BEGIN, END = "<!-- the mistakes -->\n", "<!-- end of the mistakes -->"
GROUPS = {
    "In the probabilities": softmax.MISTAKES,
    "With the labels": target.MISTAKES,
    "In the loss": loss.MISTAKES,
    "In the gradient": gradient.MISTAKES,
    "With options, labels that are none, and the gradient from above": options.MISTAKES,
    "Seen by watching calls": behaviour.MISTAKES,
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


def main() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    write_whole(PAGE, f"{before}{BEGIN}{listing()}{END}{after}")


if __name__ == "__main__":
    main()
