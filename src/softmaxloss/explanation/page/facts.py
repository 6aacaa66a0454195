"""Which facts hold for an example, and the classes that its sentences speak of.

quantities.js finds the same for the example that its page shows.
"""

import math

from .. import one_words
from ..one_data import ExampleData
from ..rendering.numbers import number, operands

FORMULAS = ("log", "share", "lse", "inv", "slope", "move")


def riser(e: ExampleData) -> int | None:
    """The class listed whose probability rises most in a step, so that it can be seen, though its
    output falls; None if there is none."""
    before, after = e.before.probabilities, e.after.probabilities
    listed = set(e.listed())
    seen = (n for n in e.rising if n in listed and number(before[n]) != number(after[n]))
    return next(seen, None)


def at_end(e: ExampleData) -> dict[int, float]:
    """The probability of each class listed where the path ends."""
    path = one_words.drawn_path(e)
    if path is None:
        return {}
    return dict(zip(path.classes.tolist(), path.probabilities[-1].tolist(), strict=True))


def formulas(e: ExampleData) -> dict[str, list[str]]:
    """The operands of each formula on the page, with enough digits to compute it again.

    Empty where 8 decimals are too few or the result is infinite; none without a softmax.
    """
    if not e.defined:
        return {}
    y, J = e.target, e.before.loss
    a, z, slope = (float(x[y]) for x in (e.before.probabilities, e.before.logits, e.gradient))
    exp, step = float(e.exponentials[y]), float(f"{e.step:g}")
    found = {
        "log": operands(lambda a: -math.log(a), [a], J),
        "share": operands(lambda x, s: x / s, [exp, e.denominator], a),
        "lse": operands(lambda s, x: s - math.copysign(x, z), [e.logsumexp, abs(z)], J),
        "inv": operands(lambda a: -1 / a, [a], e.gradient_by_probability),
        "slope": operands(lambda a: a - 1, [a], slope),
        "move": operands(lambda x, g: x + step * g, [z, -slope], float(e.after.logits[y])),
    }
    infinite = {"log": J, "lse": J, "inv": e.gradient_by_probability, "move": e.after.logits[y]}
    return found | {name: [] for name, x in infinite.items() if not math.isfinite(x)}


def facts(e: ExampleData) -> dict[str, bool]:
    """The facts for what has data-if."""
    held = one_words.facts(e)
    rising = riser(e) if e.defined and e.terms.size > 1 else None
    end = at_end(e)
    right, known = e.predicted == e.target, formulas(e)
    return held | {
        "no-softmax": not e.defined,
        "right": e.defined and right,
        "wrong": e.defined and not right,
        "rises": held["pushed"] and rising is not None,
        "none-rises": held["pushed"] and rising is None,
        "falls-later": rising in end and end[rising] < e.before.probabilities[rising],
        **{f"know-{name}": bool(known.get(name)) for name in FORMULAS},
        "live": False,
        "no-live": False,
    }
