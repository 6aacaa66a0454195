"""The words and tables of the page, for one example with one true class.

Every number is in an element that says what it is, which the script looks for: data-v for the
quantity, data-n for the position of its class, "y" for the true one and "rest" for those that are
not listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..words import number, shorten
from .chart import bar, path_chart, signed_bar

if TYPE_CHECKING:
    from ..explanation import Explanation, Layer

__all__ = ["body", "title"]

SHOWN = 12  # classes listed; of more than these the strongest are shown, the rest as one line
NAME = 24  # characters of a class name
FEATURES = 3  # of a layer, shown


def title(e: Explanation) -> str:
    """The title of the page, as plain text."""
    return f"Why the loss is {number(e.before.loss)}"


def body(e: Explanation, *, controls: bool) -> str:
    """All sections, as HTML; with the controls that a script brings to life, hidden until then."""
    page = _Page(e, controls)
    parts = [page.head()]
    if controls and e.terms.size > 1:
        parts.append(page.controls())
    parts.append(page.loss())
    if e.defined and e.terms.size > 1:
        parts += [page.pushes(), page.descent()]
        if e.layer is not None:
            parts.append(page.layer(e.layer))
    parts += [page.remarks(), page.questions()]
    return "\n".join(part for part in parts if part)


def value(v: str, shown: str, n: int | str | None = None) -> str:
    """A number with what it is."""
    place = "" if n is None else f' data-n="{n}"'
    return f'<span data-v="{v}"{place}>{shown}</span>'


class _Page:
    def __init__(self, e: Explanation, controls: bool) -> None:
        self.e = e
        self.controlled = controls and e.terms.size > 1
        self.many = e.terms.size > SHOWN
        self.shown = e.strongest(SHOWN) if self.many else list(range(e.terms.size))
        self.rest = np.delete(np.arange(e.terms.size), self.shown)

    # --- pieces ---

    def index(self, n: int | str) -> str:
        """The number of a class, as the caller counts; "y": the true one's."""
        position = self.e.target if n == "y" else int(n)
        return f'<span data-class="{n}">{self.e.number(position)}</span>'

    def name(self, n: int) -> str:
        from . import text

        classes = self.e.classes
        return "" if classes is None else f" {text(shorten(classes[n], NAME))}"

    def stale(self, words: str) -> str:
        """A line about what does not follow the numbers, shown once they are changed."""
        return f'<p class="stale" hidden>{words}</p>' if self.controlled else ""

    def warm(self, words: str) -> str:
        """A part of a formula for a temperature that is not 1, hidden while it is 1."""
        return f'<span class="warm" hidden>{words}</span>' if self.controlled else ""

    def row_name(self, n: int) -> str:
        return f'<th scope="row">{self.index(n)}<span class="name">{self.name(n)}</span></th>'

    def table(
        self,
        caption: str,
        heads: list[str],
        cells: Callable[[int], list[str]],
        rest: list[str],
        total: list[str],
    ) -> str:
        """A row for each class listed, one for the rest, one for the sums."""
        e = self.e
        rows = []
        for n in self.shown:
            true = ' class="true"' if n == e.target else ""
            data = "".join(f"<td>{cell}</td>" for cell in cells(n))
            rows.append(f'<tr data-n="{n}"{true}>{self.row_name(n)}{data}</tr>')
        if self.rest.size:
            data = "".join(f"<td>{cell}</td>" for cell in rest)
            rows.append(
                f'<tr data-n="rest" class="rest"><th scope="row">{self.rest.size} others</th>'
                f"{data}</tr>"
            )
        marked = ["" if head else ' class="bars"' for head in heads[1:]]
        data = "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marked, total, strict=True))
        head = "".join(
            f'<th scope="col">{head}</th>' if head else '<td class="bars"></td>' for head in heads
        )
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
            f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody>"
            f'<tfoot><tr><th scope="row">sum</th>{data}</tr></tfoot></table></div>'
        )

    # --- sections, top to bottom ---

    def head(self) -> str:
        e = self.e
        classes = e.terms.size
        count = "1 class" if classes == 1 else f"{classes} classes"
        named = self.name(e.target)
        listed = (
            f" The {SHOWN - 1} strongest others are listed, the rest in one line."
            if self.many
            else ""
        )
        return (
            f"<h1>Why the loss is {value('J', number(e.before.loss))}</h1>\n"
            f'<p class="lead">One example with {count}, numbered from '
            f'<span data-class="first">{e.first_class}</span>. The true class is '
            f'<strong class="y"><span data-name="y">{self.index("y")}{named}</span></strong>.'
            f"{listed}</p>"
        )

    def controls(self) -> str:
        e = self.e
        rows = []
        for n in self.shown:
            z = float(e.before.logits[n])
            who = f"class {e.number(n)}{self.name(n)}"
            # A number field takes no infinity: it stays empty there, as for NaN.
            shown = f"{z:.6g}" if math.isfinite(z) else ""
            edge = max(10.0, 2 * abs(z)) if math.isfinite(z) else 10.0
            checked = " checked" if n == e.target else ""
            rows.append(
                f'<div class="knob" data-n="{n}"><label class="pick"><input type="radio" name="y" '
                f'value="{n}"{checked} aria-label="{who} is the true class"> {self.index(n)}'
                f'<span class="name">{self.name(n)}</span></label>'
                f'<input type="range" data-z="{n}" min="{-edge:.6g}" max="{edge:.6g}" step="any" '
                f'value="{shown or 0}" aria-label="output of {who}, dragged">'
                f'<input type="number" data-z="{n}" step="any" value="{shown}" '
                f'aria-label="output of {who}, typed"></div>'
            )
        first = "".join(
            f'<option value="{k}"{" selected" if k == e.first_class else ""}>{k}</option>'
            for k in (0, 1)
        )
        return (
            '<section class="try" hidden aria-label="Try it">\n<h2>Try it</h2>\n'
            "<p>Drag or type the outputs z, pick the true class, and descend: everything below "
            "follows.</p>\n"
            f'<div class="knobs">{"".join(rows)}</div>\n'
            '<div class="buttons">'
            '<button type="button" data-do="step">Step</button>'
            '<button type="button" data-do="play" aria-pressed="false">Play</button>'
            '<button type="button" data-do="reset">Reset</button>'
            f'<label>step size <input type="number" data-set="step" min="0" step="any" '
            f'value="{e.step:.6g}"></label>'
            '<label>temperature <input type="number" data-set="T" min="0.05" step="0.05" '
            'value="1"></label>'
            f'<label>count classes from <select data-set="first">{first}</select></label></div>\n'
            '<p role="status" class="status"></p>\n</section>'
        )

    def loss(self) -> str:
        e = self.e
        z, a = e.before.logits, e.before.probabilities

        def cells(n: int) -> list[str]:
            term = number(e.terms[n])
            return [
                value("z", number(z[n]), n),
                value("exp", number(e.exponentials[n]), n),
                value("a", number(a[n]), n),
                bar(float(a[n]), n),
                value("term", term if n == e.target else f"({term})", n),
            ]

        rest = [
            "",
            value("exp", number(float(e.exponentials[self.rest].sum())), "rest"),
            value("a", number(float(a[self.rest].sum())), "rest"),
            bar(float(a[self.rest].sum()), "rest"),
            "",
        ]
        total = ["", value("den", number(e.denominator)), value("sum-a", number(float(a.sum())))]
        table = self.table(
            "The outputs, their probabilities, and the loss that each class would have",
            ["class", "output z", "exp(z−m)", "probability a", "", "−log a"],
            cells,
            rest,
            [*total, "", ""],
        )
        T = value("T", "1")
        note = self.warm(
            f"The temperature T is {T}: a = softmax(z/T). So m, exp and log Σ exp are those of z/T,"
            f" and the derivative by z is that by z/T, divided by T: ∂J/∂z = (a − onehot)/T."
        )
        parts = [f"<h2>1. The loss J</h2>\n{note}{table}"]
        if e.defined:
            parts.append(self._formulas() if e.terms.size > 1 else self._one_class())
        return f"<section>\n{chr(10).join(parts)}\n</section>"

    def _one_class(self) -> str:
        return "<p>With one class, its probability is 1 and the loss 0, whatever the output is.</p>"

    def _formulas(self) -> str:
        e, y = self.e, self.e.target
        i = f"<sub>{self.index('y')}</sub>"
        a_y, J = number(e.before.probabilities[y]), number(e.before.loss)
        z_y, lse = number(e.before.logits[y]), number(e.logsumexp)
        by_T = self.warm("/T")
        return (
            f"<p>The loss is one term, the −log a of class {self.index('y')}. The terms in brackets"
            " are not added:</p>\n"
            f'<p class="formula">J = −log a{i} = −log {value("a", a_y, "y")} = '
            f"<strong>{value('J', J)}</strong></p>\n"
            f"<p>Yet every output counts, because each is in the denominator of a{i}. With the "
            f"largest output, m = {value('m', number(e.largest))}, taken off, exp cannot overflow, "
            "and nothing changes:</p>\n"
            f'<p class="formula">a{i} = exp(z{i}{by_T} − m) / Σ exp(z{by_T} − m) = '
            f"{value('exp', number(e.exponentials[y]), 'y')} / "
            f"{value('den', number(e.denominator))} = {value('a', a_y, 'y')}</p>\n"
            f'<p class="formula">J = −z{i}{by_T} + log Σ exp z{by_T} = '
            f"−({value('scaled', z_y, 'y')}) + {value('lse', lse)} = "
            f"{value('J2', number(e.loss_from_logits))}</p>\n"
            f'<dl class="beside"><div><dt>J in nats</dt><dd>{value("J", J)}</dd></div>'
            f"<div><dt>J in bits</dt><dd>{value('bits', number(e.bits))}</dd></div>"
            f"<div><dt>a uniform guess, ln C</dt>"
            f"<dd>{value('lnC', number(e.uniform_loss))}</dd></div>"
            f"<div><dt>exp(−J)</dt><dd>{value('a', a_y, 'y')}</dd></div>"
            f"<div><dt>rank of the true class</dt><dd>{value('rank', str(e.rank))}</dd></div></dl>"
        )

    def pushes(self) -> str:
        e, y = self.e, self.e.target
        i = f"<sub>{self.index('y')}</sub>"

        def cells(n: int) -> list[str]:
            slope = float(e.gradient[n])
            by_a = number(e.gradient_by_probability) if n == y else "0"
            return [
                value("inv", by_a, n),
                value("jac", number(e.jacobian_row[n]), n),
                value("grad", _signed(slope), n),
                signed_bar(slope, n),
                value("push", _push(slope), n),
            ]

        others = float(e.gradient[self.rest].sum())
        rest = [
            "0",
            value("jac", number(float(e.jacobian_row[self.rest].sum())), "rest"),
            value("grad", _signed(others), "rest"),
            signed_bar(others, "rest"),
            value("push", _push(others), "rest"),
        ]
        zero = number(round(e.gradient_sum, 9))
        jac_sum = number(round(float(e.jacobian_row.sum()), 9))
        table = self.table(
            "The derivatives of the loss",
            ["class", "∂J/∂a", f"∂a{i}/∂z", "∂J/∂z", "", "descent"],
            cells,
            rest,
            ["", value("sum-jac", jac_sum), value("sum-grad", zero), "", ""],
        )
        a_y, slope_y = number(e.before.probabilities[y]), number(e.gradient[y])
        opened, closed = self.warm("("), self.warm(")/T")
        return (
            f"<section>\n<h2>2. Which output is raised, and which lowered</h2>\n{table}\n"
            f'<p class="formula">∂J/∂z{i} = {opened}a{i} − 1{closed} = '
            f"{opened}{value('a', a_y, 'y')} − 1{closed} = "
            f"{value('plain-grad', slope_y, 'y')} for the true class</p>\n"
            f'<p class="formula">∂J/∂z<sub>n</sub> = a<sub>n</sub>{self.warm("/T")}'
            " for every other class n</p>\n"
            f"<p>Descent moves each output against its derivative. a{i} − 1 is negative: the true "
            "output is pushed up. a<sub>n</sub> is positive: every other output is pushed down, the"
            " likelier the harder. The derivatives sum to 0: the true output goes up by as much as "
            "all the others together go down.</p>\n"
            f"<p>The way there is the chain rule. J depends on a{i} alone, so ∂J/∂a has one entry, "
            f"−1/a{i} = {value('inv', number(e.gradient_by_probability), 'y')}; a{i} depends on "
            "every output. The third column is the product of the two before it.</p>\n</section>"
        )

    def descent(self) -> str:
        e, y = self.e, self.e.target
        i = f"<sub>{self.index('y')}</sub>"
        z, a = e.after.logits, e.after.probabilities

        def cells(n: int) -> list[str]:
            before = e.before
            return [
                value("z", number(before.logits[n]), n),
                value("z1", number(z[n]), n),
                value("a", number(before.probabilities[n]), n),
                value("a1", number(a[n]), n),
            ]

        rest = [
            "",
            "",
            value("a", number(float(e.before.probabilities[self.rest].sum())), "rest"),
            value("a1", number(float(a[self.rest].sum())), "rest"),
        ]
        total = number(float(a.sum()))
        table = self.table(
            "One step of descent",
            ["class", "z", "z after", "a", "a after"],
            cells,
            rest,
            ["", "", "", value("sum-a", total)],
        )
        return (
            "<section>\n<h2>3. Descent: z − "
            f"{value('step', f'{e.step:g}')} · ∂J/∂z</h2>\n{table}\n"
            f'<p class="formula">a{i}: {value("a", number(e.before.probabilities[y]), "y")} → '
            f"{value('a1', number(a[y]), 'y')}</p>\n"
            f'<p class="formula">J: {value("J", number(e.before.loss))} → '
            f"{value('J1', number(e.after.loss))}</p>\n{self._path()}</section>"
        )

    def _path(self) -> str:
        path, i = self.e.path, f"<sub>{self.index('y')}</sub>"
        if path is None or path.steps[-1] < 2:
            return ""
        rows = "".join(
            f'<tr><th scope="row">{step}</th><td>{number(a_y)}</td><td>{number(loss)}</td></tr>'
            for step, a_y, loss in zip(
                path.steps.tolist(), path.target_probability, path.loss, strict=True
            )
        )
        end = "" if path.reached else " (there it was stopped)"
        return (
            f"<figure>{path_chart(path, self.e.number(self.e.target))}<figcaption>Step after step, "
            f'<b class="a">a{i}</b> goes to 1 and <b class="J">J</b> to 0{end}.</figcaption>'
            '</figure>\n<details class="path"><summary>The same in numbers</summary>'
            f"{self.stale('These are the steps of the example as it was given.')}<table><thead>"
            f'<tr><th scope="col">steps</th><th scope="col">a{i}</th><th scope="col">J</th></tr>'
            f"</thead><tbody>{rows}</tbody></table></details>\n"
        )

    def layer(self, layer: Layer) -> str:
        e, x = self.e, layer.features
        few = min(x.size, FEATURES)
        more = " …" if few < x.size else ""
        bias, one = ("", "") if layer.bias is None else (" + b", " + 1")

        def vector(values: Iterable[float]) -> str:
            return f"[{'  '.join(number(v) for v in list(values)[:few])}{more}]"

        def cells(n: int) -> list[str]:
            row = e.gradient[n] * x
            return [
                vector(row),
                vector(layer.weight[n] - layer.step * row),
                number(layer.after.logits[n]),
                number(layer.after.probabilities[n]),
            ]

        table = self.table(
            "One step for the weights",
            ["class", "∂J/∂W = ∂J/∂z · x", "W after", "z after", "a after"],
            cells,
            ["", "", "", number(float(layer.after.probabilities[self.rest].sum()))],
            ["", "", "", number(float(layer.after.probabilities.sum()))],
        )
        return (
            '<section class="given">\n<h2>4. The layer that made the outputs, z = W·x'
            f"{bias}</h2>\n{self.stale('This is about the example as it was given.')}{table}\n"
            f"<p>x is {vector(x)}. ∂J/∂W = (a − onehot) xᵀ: each row is x times one number. So a "
            f"step for W changes z by −{e.step:g} · (‖x‖²{one}) · ∂J/∂z, with ‖x‖²{one} = "
            f"{number(layer.gain)}, and the loss is {number(layer.after.loss)} after it.</p>\n"
            "</section>"
        )

    def remarks(self) -> str:
        said = self.e.remarks()
        if not said:
            return ""
        items = "".join(f"<p>{remark}</p>" for remark in said)
        note = self.stale("This is about the example as it was given.")
        return f'<section class="note given">\n<h2>Note</h2>\n{note}{items}\n</section>'

    def questions(self) -> str:
        from . import text

        def paragraph(words: str) -> str:
            lines = words.split("\n")
            if all(line.startswith("   ") for line in lines):
                return f"<pre>{text_lines(lines)}</pre>"
            return f"<p>{'<br>'.join(text(line) for line in lines)}</p>"

        def text_lines(lines: list[str]) -> str:
            return "\n".join(text(line[3:]) for line in lines)

        items = "".join(
            f'<details data-ask="{answer.id}"><summary>{text(answer.title)}</summary>'
            f"{''.join(paragraph(part) for part in answer.text.split(chr(10) * 2))}</details>"
            for answer in self.e.answers()
        )
        note = self.stale("The answers are about the example as it was given.")
        return f'<section class="given questions">\n<h2>Questions</h2>\n{note}{items}\n</section>'


def _signed(slope: float) -> str:
    return f"+{number(slope)}" if slope > 0 else number(slope)


def _push(slope: float) -> str:
    return "↑ up" if slope < 0 else "↓ down" if slope > 0 else ""
