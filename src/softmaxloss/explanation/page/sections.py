"""The sections of the page for one example with one true class.

Every number is in an element that says what it is, which the script looks for: data-v for the
quantity, data-n for the position of its class, "y" for the true one and "rest" for the classes that
are not listed. A sentence that is true only in some cases has its fact in data-if.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...text import as_html, plural
from ..data import SHOWN
from ..one_data import ExampleData, Layer
from ..one_words import ONE_CLASS, PUSH, drawn_path, facts, layer_cells, layer_section, remarks
from ..questions import answers
from ..rendering.html import paragraph, row, section, table
from ..rendering.names import NAME, name
from ..rendering.numbers import direction, minus, number, signed, zero
from .chart import EMPTY_CHART, bar, path_chart

FEATURES = 3  # of a layer, shown
PLAIN = 'autocomplete="off"'  # a browser that returns to the page must not fill in old values


def value(v: str, shown: str | float, n: int | str | None = None) -> str:
    """A number, in an element that says what it is."""
    place = "" if n is None else f' data-n="{n}"'
    words = shown if isinstance(shown, str) else number(shown)
    return f'<span data-v="{v}"{place}>{words}</span>'


def body(e: ExampleData, *, controls: bool) -> str:
    """All sections, as HTML; with the controls, hidden until the script runs."""
    page = _Page(e, controls)
    parts = [page.head()]
    if page.controlled:
        parts.append(page.controls())
    parts.append(page.loss())
    if e.terms.size > 1:
        parts.append(page.when("softmax", f"{page.pushes()}\n{page.descent()}", tag="div"))
    if e.defined and e.terms.size > 1 and e.layer is not None:
        parts.append(page.layer(e.layer))
    parts += [page.remarks(), page.questions()]
    return "\n".join(part for part in parts if part)


class _Page:
    """controls: whether a script will follow the numbers, which needs at least two classes."""

    def __init__(self, e: ExampleData, controls: bool) -> None:
        self.e = e
        self.controlled = controls and e.terms.size > 1
        self.shown = e.listed()
        self.rest = np.delete(np.arange(e.terms.size), self.shown)
        self.facts = facts(e)
        self.i = f"<sub>{self.index('y')}</sub>"
        self.a_y = value("a", e.before.probabilities[e.target], "y")
        self.J = value("J", e.before.loss)

    def index(self, n: int | str) -> str:
        """The number of a class, as the caller counts; "y" is the true class."""
        position = self.e.target if n == "y" else int(n)
        return f'<span data-class="{n}">{self.e.number(position)}</span>'

    def name(self, n: int) -> str:
        """The name of a class, after a space; empty without names."""
        return as_html(name(self.e, n))

    def of_rest(self, v: str, values: NDArray[np.float64]) -> str:
        """The sum over the classes that are not listed."""
        return value(v, float(values[self.rest].sum()), "rest")

    def when(self, fact: str, words: str, *, tag: str = "span", css: str = "") -> str:
        """Words for a fact. The script shows and hides them; without it they are left out."""
        if not self.controlled:
            return words if self.facts[fact] else ""
        style = f' class="{css}"' if css else ""
        hidden = "" if self.facts[fact] else " hidden"
        return f'<{tag}{style} data-if="{fact}"{hidden}>{words}</{tag}>'

    def warm(self, words: str) -> str:
        """A part of a formula for a temperature that is not 1, hidden while it is 1."""
        return self.when("warm", words, css="warm")

    def table(
        self,
        caption: str,
        heads: list[str],
        cells: Callable[[int], list[str]],
        rest: list[str],
        total: list[str],
    ) -> str:
        """A row for each class listed, one for the rest, one for the sums."""
        rows = []
        for n in self.shown:
            place = f' data-n="{n}"' + (' class="true"' if n == self.e.target else "")
            mark = " (true)" if n == self.e.target and not self.controlled else ""
            known = f'{self.index(n)}<span class="name">{self.name(n)}</span>{mark}'
            rows.append(row(known, cells(n), place))
        if self.rest.size:
            place = ' data-n="rest" class="rest"'
            rows.append(row(plural(self.rest.size, "other"), rest, place))
        return table(caption, heads, rows, row("sum", total))

    def head(self) -> str:
        e = self.e
        listed = ""
        if self.rest.size:
            others, rest = f"the {SHOWN - 1} strongest others", "the rest in one line."
            listed = self.when("unchanged", f" {others.capitalize()} are listed, {rest}")
            listed += self.when("changed", f" Listed are those that were {others} at first, {rest}")
        return (
            f"<h1>Why the loss is {self.J}</h1>\n"
            f'<p class="lead">One example with {plural(e.terms.size, "class")}, numbered from '
            f'<span data-class="first">{e.first_class}</span>. The true class is <strong class="y">'
            f'<span data-name="y">{self.index("y")}{self.name(e.target)}</span></strong>.'
            f"{listed}</p>"
        )

    def controls(self) -> str:
        """A row of fields for each class listed, and the buttons, hidden and empty until the script
        fills them in."""
        rows = "".join(
            f'<div class="knob" data-n="{n}"><label class="pick">'
            f'<input {PLAIN} type="radio" name="y" value="{n}"> {self.index(n)}'
            f'<span class="name">{self.name(n)}</span></label>'
            f'<input {PLAIN} type="range" data-z="{n}" step="any">'
            f'<input {PLAIN} type="number" data-z="{n}" step="any"></div>'
            for n in self.shown
        )
        return (
            '<section class="try" hidden aria-label="Try it">\n<h2>Try it</h2>\n'
            "<p>Drag or type the outputs z, pick the true class, and descend: everything below "
            "follows.</p>\n"
            f'<div class="knobs">{rows}</div>\n'
            '<div class="buttons">'
            '<button type="button" data-do="step">Step</button>'
            '<button type="button" data-do="play" aria-pressed="false">Play</button>'
            '<button type="button" data-do="reset">Reset</button>'
            f'<label>step size <input {PLAIN} type="number" data-set="step" min="0" step="any">'
            f'</label><label>temperature <input {PLAIN} type="number" data-set="T" min="0.05" '
            f'step="0.05"></label><label>count classes from <select {PLAIN} data-set="first">'
            "<option>0</option><option>1</option></select></label></div>\n"
            '<p role="status" class="status"></p>\n</section>'
        )

    def loss(self) -> str:
        e = self.e
        z, a = e.before.logits, e.before.probabilities

        def cells(n: int) -> list[str]:
            term = number(e.terms[n])
            return [
                value("z", z[n], n),
                value("exp", e.exponentials[n], n),
                value("a", a[n], n),
                bar("a", a[n], n),
                value("term", term if n == e.target else f"({term})", n),
            ]

        rest_bar = bar("a", a[self.rest].sum(), "rest")
        table = self.table(
            "The outputs, their probabilities, and the loss that each class would have",
            ["class", "output z", "exp(z−m)", "probability a", "", "−log a"],
            cells,
            ["", self.of_rest("exp", e.exponentials), self.of_rest("a", a), rest_bar, ""],
            ["", value("den", e.denominator), value("sum-a", float(a.sum())), "", ""],
        )
        note = self.warm(
            f"The temperature T is {value('T', '1')}: a = softmax(z/T). So m, exp and log Σ exp "
            "are those of z/T, and the derivative with respect to z is that with respect to z/T, "
            "divided by T: ∂J/∂z = (a − onehot)/T."
        )
        after = ""
        if e.terms.size > 1:
            after = self.when("softmax", self._formulas(), tag="div")
        elif e.defined:
            after = paragraph(ONE_CLASS)
        return section("1. The loss J", f"{note}{table}\n{after}", "loss")

    def _formulas(self) -> str:
        e, y, i, by_T = self.e, self.e.target, self.i, self.warm("/T")
        a_y, J = self.a_y, self.J
        minus_z = value("minus-z", minus(e.before.logits[y]), "y")
        exp_y, den = value("exp", e.exponentials[y], "y"), value("den", e.denominator)
        lse, from_logits = value("lse", e.logsumexp), value("J2", e.loss_from_logits)
        beside = {
            "J in nats": J,
            "J in bits": value("bits", e.bits),
            "a uniform guess, ln C": value("lnC", e.uniform_loss),
            "exp(−J)": a_y,
            "rank of the true class": value("rank", str(e.rank)),
        }
        facts = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in beside.items())
        return (
            f"<p>The loss is one term, the −log a of class {self.index('y')}. The terms in brackets"
            " are not added:</p>\n"
            f'<p class="formula">J = −log a{i} = −log {a_y} = <strong>{J}</strong></p>\n'
            f"<p>Yet every output counts, because each is in the denominator of a{i}. Subtracting "
            f"the largest output, m = {value('m', e.largest)}, keeps exp from overflowing and does "
            "not change a:</p>\n"
            f'<p class="formula">a{i} = exp(z{i}{by_T} − m) / Σ exp(z{by_T} − m) = '
            f"{exp_y} / {den} = {a_y}</p>\n"
            f'<p class="formula">J = −z{i}{by_T} + log Σ exp z{by_T} = {minus_z} + {lse} = '
            f"{from_logits}</p>\n"
            f'<dl class="beside">{facts}</dl>'
        )

    def pushes(self) -> str:
        e, y, i = self.e, self.e.target, self.i

        def cells(n: int) -> list[str]:
            slope = float(e.gradient[n])
            by_a = number(e.gradient_by_probability) if n == y else "0"
            row = [value("inv", by_a, n), value("jac", e.jacobian_row[n], n)]
            return row + descent(slope, n)

        def descent(slope: float, n: int | str) -> list[str]:
            words = value("push", direction(slope), n)
            return [value("grad", signed(slope), n), bar("grad", slope, n), words]

        others = descent(float(e.gradient[self.rest].sum()), "rest")
        jac_sum = value("sum-jac", zero(float(e.jacobian_row.sum())))
        table = self.table(
            "The derivatives of the loss",
            ["class", "∂J/∂a", f"∂a{i}/∂z", "∂J/∂z", "", "descent"],
            cells,
            ["0", self.of_rest("jac", e.jacobian_row), *others],
            ["", jac_sum, value("sum-grad", zero(e.gradient_sum)), "", ""],
        )
        slope_y = value("plain-grad", e.gradient[y], "y")
        opened, closed = self.warm("("), self.warm(")/T")
        sentences = " ".join(
            self.when(fact, words.format(a_y=f"a{i}", a_n="a<sub>n</sub>")) for fact, words in PUSH
        )
        return section(
            "2. Which output is raised, and which lowered",
            f'{table}\n<p class="formula">∂J/∂z{i} = {opened}a{i} − 1{closed} = '
            f"{opened}{self.a_y} − 1{closed} = {slope_y} for the true class"
            f'</p>\n<p class="formula">∂J/∂z<sub>n</sub> = a<sub>n</sub>{self.warm("/T")}'
            f" for every other class n</p>\n<p>{sentences}</p>\n<p>{self._chain_rule()}</p>",
            "pushes",
        )

    def _chain_rule(self) -> str:
        i = self.i
        by_a = value("inv", self.e.gradient_by_probability, "y")
        product = self.when("product", "The third column is the product of the two before it.")
        beyond = self.when(
            "no-product",
            "The third column would be the product of the two before it, but one of those is beyond"
            " what float64 can hold here. It is computed as a − onehot, which stays right.",
        )
        return (
            f"By the chain rule: J depends on a{i} alone, so ∂J/∂a has one entry, −1/a{i} = {by_a};"
            f" a{i} depends on every output. {product}{beyond}"
        )

    def descent(self) -> str:
        e, y, i = self.e, self.e.target, self.i
        before, z, a = e.before, e.after.logits, e.after.probabilities
        table = self.table(
            "One step of descent",
            ["class", "z", "z after", "a", "a after"],
            lambda n: [
                value("z", before.logits[n], n),
                value("z1", z[n], n),
                value("a", before.probabilities[n], n),
                value("a1", a[n], n),
            ],
            ["", "", self.of_rest("a", before.probabilities), self.of_rest("a1", a)],
            ["", "", "", value("sum-a", float(a.sum()))],
        )
        return section(
            f"3. Descent: z − {value('step', f'{e.step:g}')} · ∂J/∂z",
            f'{table}\n<p class="formula">a{i}: {self.a_y} → {value("a1", a[y], "y")}</p>\n'
            f'<p class="formula">J: {self.J} → {value("J1", e.after.loss)}</p>\n{self._path()}',
        )

    def _path(self) -> str:
        """A picture of the steps, and the same in numbers."""
        path, i = drawn_path(self.e), self.i
        if not (self.facts["path"] or self.controlled):
            return ""
        chart, rows, ends = EMPTY_CHART, "", ["", "", "", "", ""]
        if path is not None:
            a, J = path.target_probability, path.loss
            chart = path_chart(path, self.e.number(self.e.target))
            rows = "".join(
                row(str(step), [number(a_y), number(loss)])
                for step, a_y, loss in zip(path.steps.tolist(), a, J, strict=True)
            )
            ends = [f"{path.steps[-1]} steps", *map(number, (a[0], a[-1], J[0], J[-1]))]
        names = ("steps", "a0", "a1", "J0", "J1")
        at = {k: value(f"path-{k}", shown) for k, shown in zip(names, ends, strict=True)}
        a_y, J_ = f'<b class="a">a{i}</b>', '<b class="J">J</b>'
        reached = self.when(
            "reached",
            f"Step after step, {a_y} goes to 1 and {J_} to 0: after {at['steps']} they are "
            f"{at['a1']} and {at['J1']}.",
        )
        not_reached = self.when(
            "not-reached",
            f"In {at['steps']}, {a_y} goes from {at['a0']} to {at['a1']}, and {J_} from "
            f"{at['J0']} to {at['J1']}.",
        )
        figure = (
            f"<figure>{chart}<figcaption>{reached}{not_reached}</figcaption></figure>\n"
            '<details class="path"><summary>The same in numbers</summary><table><thead>'
            f'<tr><th scope="col">steps</th><th scope="col">a{i}</th><th scope="col">J</th></tr>'
            f"</thead><tbody>{rows}</tbody></table></details>\n"
        )
        return self.when("path", figure, tag="div")

    def layer(self, layer: Layer) -> str:
        part, a = layer_section(self.e, layer, NAME, FEATURES), layer.after.probabilities
        assert part.table is not None
        table = self.table(
            part.table.caption,
            [head.lstrip("<") for head in part.table.heads],
            lambda n: layer_cells(layer, n, FEATURES),
            ["", "", "", number(float(a[self.rest].sum()))],
            ["", "", "", number(float(a.sum()))],
        )
        note = "This is about the example as it was given."
        note = self.when("changed", note, tag="p", css="stale")
        return section(part.title, f"{note}{table}{''.join(map(paragraph, part.words))}", "given")

    def remarks(self) -> str:
        said = remarks(self.e)
        if not said:
            return ""
        words = "".join(map(paragraph, said))
        return section("Note", f"{self._given('This is')}{words}", "note given")

    def questions(self) -> str:
        items = "".join(
            f'<details data-ask="{answer.id}"><summary>{as_html(answer.title)}</summary>'
            f"{''.join(map(paragraph, answer.text.split(chr(10) * 2)))}</details>"
            for answer in answers(self.e)
        )
        return section("Questions", f"{self._given('The answers are')}{items}", "given questions")

    def _given(self, these: str) -> str:
        """A line about what does not follow the numbers, shown once they are changed."""
        numbered = self.when("renumbered", f", with its classes numbered from {self.e.first_class}")
        words = f"{these} about the example as it was given{numbered}."
        return self.when("stale", words, tag="p", css="stale")
