"""Which facts hold for an example, and the classes that its sentences speak of.

quantities.js finds the same for the example that its page shows.
"""

import math

from .. import one_words
from ..one_data import ExampleData
from ..rendering.numbers import number
from .numerals import operands


def faller(e: ExampleData) -> int:
    """The wrong class whose output falls most in a step: the first of those listed with the
    largest probability."""
    others = [n for n in e.listed() if n != e.target]
    return max(others, key=lambda n: (e.before.probabilities[n], -others.index(n)), default=0)


def riser(e: ExampleData) -> int | None:
    """The wrong class listed whose probability rises most in a step, visibly, though its output
    falls; None if there is none."""
    a, after = e.before.probabilities, e.after.probabilities
    rising = [
        n
        for n in e.listed()
        if n != e.target and after[n] > a[n] and number(after[n]) != number(a[n])
    ]
    return max(rising, key=lambda n: (after[n] - a[n], -n), default=None)


def at_end(e: ExampleData) -> dict[int, float]:
    """The probability of each class listed where the path ends."""
    path = one_words.drawn_path(e)
    if path is None:
        return {}
    return dict(zip(path.classes.tolist(), path.probabilities[-1].tolist(), strict=True))


def formulas(e: ExampleData) -> dict[str, list[str] | None]:
    """The operands of each formula on the page, with enough digits to compute it again."""
    if not e.defined:
        return dict.fromkeys(["log", "share", "lse", "inv", "slope", "move"])
    y, a_y, J = e.target, float(e.before.probabilities[e.target]), e.before.loss
    z, slope = float(e.before.logits[y]), float(e.gradient[y])
    return {
        "log": operands([a_y], lambda a: -math.log(a), J),
        "share": operands([e.exponentials[y], e.denominator], lambda x, s: x / s, a_y),
        "lse": operands([e.logsumexp, abs(z)], lambda s, x: s - math.copysign(x, z), J),
        "inv": operands([a_y], lambda a: -1 / a, e.gradient_by_probability),
        "slope": operands([a_y], lambda a: a - 1, slope),
        "move": operands(
            [z, -slope], lambda x, g: x + float(f"{e.step:g}") * g, float(e.after.logits[y])
        ),
    }


def facts(e: ExampleData) -> dict[str, bool]:
    """The facts for what has data-if."""
    held = one_words.facts(e)
    rising = riser(e) if e.defined and e.terms.size > 1 else None
    end = at_end(e)
    right = e.predicted == e.target
    return held | {
        "no-softmax": not e.defined,
        "right": e.defined and right,
        "wrong": e.defined and not right,
        "rises": held["pushed"] and rising is not None,
        "none-rises": held["pushed"] and rising is None,
        "falls-later": rising in end and end[rising] < e.before.probabilities[rising],
        **{f"know-{name}": shown is not None for name, shown in formulas(e).items()},
    }
