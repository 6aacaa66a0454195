"""Calls beyond a plain one: with an option, a gradient from above, a label out of range.

Each is made where the function's form and its parameters allow it. What is right in it, and which
mistakes give what else, is in answers.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .forms import Besides, Form
from .probes import Probe, probes

__all__ = ["Battery", "Situation", "battery_of", "situations"]

Array = NDArray[Any]
About = Literal[
    "weight", "ignore_index", "label_smoothing", "reduction", "reg", "upstream", "bfloat16",
    "labels",
]  # fmt: skip


class Situation(NamedTuple):
    """A call: what it is about, its logits and labels, and what is passed besides.

    With an option of the `Besides` the function must take it; its name there is the usual one.
    """

    name: str
    why: str
    about: About
    probe: Probe
    besides: Besides = Besides()

    def applies(self, form: Form, options: Mapping[str, str]) -> bool:
        """Whether it can be asked of a function in this form, with these options."""
        if self.about == "reg" or form.is_layer:
            return self.about == "reg" and "reg" in form.order
        if not form.batch or "labels" not in form.order or set(self.besides.options) - set(options):
            return False
        if self.about in ("upstream", "bfloat16"):
            return form.framework != "numpy"
        return self.about not in ("ignore_index", "labels") or form.labels == "index"

    def besides_of(self, options: Mapping[str, str]) -> Besides:
        """What is passed to a function that has its own names for the options."""
        named = {options[option]: value for option, value in self.besides.options.items()}
        if self.about == "labels" and "ignore_index" in options:
            named[options["ignore_index"]] = -100  # so that none of the labels is ignored
        return self.besides._replace(options=named)


class Battery(NamedTuple):
    """All that a function is called with, from one seed."""

    probes: list[Probe]
    situations: list[Situation]


def battery_of(seed: int, dtype: Any = np.float64) -> Battery:
    """The probes and the situations of a seed, in a dtype."""
    return Battery(probes(seed, dtype), situations(seed, dtype))


def situations(seed: int, dtype: Any = np.float64) -> list[Situation]:
    """Fresh ones for each seed.

    >>> [s.name for s in situations(0)][:3]
    ['weight', 'ignore_index', 'ignore_index, -100']
    """
    rng = np.random.default_rng([seed, 1])
    z = rng.normal(0.0, 2.0, (5, 4)).round(1).astype(dtype)
    y = np.array([0, 2, 3, 2, 1])
    # Of each weight there is one example, but for class 2, which is also the class that is ignored.
    weight = np.array([0.5, 2.0, 1.25, 3.0], dtype)
    not_finite = z.copy()
    not_finite[1] = np.nan
    padded = np.array([0, -100, 3, 2, 1])
    above = rng.permutation([0.5, -1.0, 2.0, 3.0, 1.5]).astype(dtype)

    def probe(z: Array, y: Array) -> Probe:
        return Probe("", "", z, y)

    def option(name: About, value: Any, why: str, given: Probe, more: str = "") -> Situation:
        return Situation(f"{name}{more}", why, name, given, Besides({name: value}))

    plain = probe(z, y)
    uniform = probe(np.zeros((2, 512), dtype), np.array([0, 511]))
    return [
        option("weight", weight, "a weight for each class", plain),
        option("ignore_index", 2, "two of five examples are left out", plain),
        option("ignore_index", -100, "the label of a row is -100", probe(z, padded), ", -100"),
        option("ignore_index", 0, "class 0 is left out", plain, ", 0"),
        option("ignore_index", 2, "NaN in a row that is left out", probe(not_finite, y), ", NaN"),
        option("ignore_index", 2, "all are left out", probe(z[:3], np.full(3, 2)), ", all"),
        option("label_smoothing", 0.1, "0.1", plain),
        *(option("reduction", how, "as it says", plain, f"={how!r}")
          for how in ("mean", "sum", "none")),
        Situation("reg", "0.7", "reg", plain, Besides(reg=0.7)),
        Situation("upstream", "a gradient from above that is not 1", "upstream", plain,
                  Besides(upstream=above)),
        Situation("upstream of each", "one for each example", "upstream", plain,
                  Besides({"reduction": "none"}, upstream=above)),
        Situation("bfloat16", "512 equal outputs", "bfloat16", uniform, Besides(half=True)),
        Situation("label -1", "no class has it", "labels", probe(z, np.array([0, 2, -1, 2, 1]))),
        Situation("label C", "no class has it", "labels", probe(z, np.array([0, 2, 4, 2, 1]))),
    ]  # fmt: skip
