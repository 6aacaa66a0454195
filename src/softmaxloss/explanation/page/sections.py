"""The words and tables of the page, for one example with one true class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..words import number
from .chart import EMPTY_CHART, bar, path_chart, signed_bar
from .controls import controls as controls_of
from .parts import SHOWN, Parts, drawn_path, value

if TYPE_CHECKING:
    from ..explanation import Explanation, Layer

__all__ = ["body", "title"]

FEATURES = 3  # of a layer, shown


def title(e: Explanation) -> str:
    """The title of the page, as plain text."""
    return f"Why the loss is {number(e.before.loss)}"


def body(e: Explanation, *, controls: bool) -> str:
    """All sections, as HTML; with the controls that a script brings to life, hidden until then."""
    page = _Page(e, controls)
    parts = [page.head()]
    if page.controlled:
        parts.append(controls_of(page))
    parts.append(page.loss())
    if e.terms.size > 1:
        parts.append(page.when("softmax", f"{page.pushes()}\n{page.descent()}", tag="div"))
    if e.defined and e.terms.size > 1 and e.layer is not None:
        parts.append(page.layer(e.layer))
    parts += [page.remarks(), page.questions()]
    return "\n".join(part for part in parts if part)


class _Page(Parts):
    def head(self) -> str:
        e = self.e
        classes = e.terms.size
        count = "1 class" if classes == 1 else f"{classes} classes"
        named = self.name(e.target)
        listed = ""
        if self.many:
            others, rest = f"the {SHOWN - 1} strongest others", "the rest in one line."
            listed = self.when("unchanged", f" {others.capitalize()} are listed, {rest}")
            listed += self.when("changed", f" Listed are those that were {others} at first, {rest}")
        return (
            f"<h1>Why the loss is {value('J', number(e.before.loss))}</h1>\n"
            f'<p class="lead">One example with {count}, numbered from '
            f'<span data-class="first">{e.first_class}</span>. The true class is '
            f'<strong class="y"><span data-name="y">{self.index("y")}{named}</span></strong>.'
            f"{listed}</p>"
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
        if e.terms.size > 1:
            parts.append(self.when("softmax", self._formulas(), tag="div"))
        elif e.defined:
            parts.append(self._one_class())
        return f"<section>\n{chr(10).join(parts)}\n</section>"

    def _one_class(self) -> str:
        return "<p>With one class, its probability is 1 and the loss 0, whatever the output is.</p>"

    def _formulas(self) -> str:
        e, y = self.e, self.e.target
        i = f"<sub>{self.index('y')}</sub>"
        a_y, J = number(e.before.probabilities[y]), number(e.before.loss)
        z_y, lse = number(e.before.logits[y]), number(e.logsumexp)
        minus_z = f"−({z_y})" if z_y.startswith("-") else f"−{z_y}"
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
            f"{value('minus-z', minus_z, 'y')} + {value('lse', lse)} = "
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
            f"<p>{self._why_pushed(i)}</p>\n<p>{self._chain_rule(i)}</p>\n</section>"
        )

    def _why_pushed(self, i: str) -> str:
        sentences = [
            ("still", f"Every derivative is 0: a{i} is 1, and nothing is pushed."),
            (
                "pushed",
                f"Descent moves each output against its derivative. a{i} − 1 is negative: the true "
                "output is pushed up.",
            ),
            (
                "impossible",
                f"Descent moves each output against its derivative. a{i} − 1 is −1, but the true "
                "output is −inf, and no step moves it from there.",
            ),
        ]
        others = [
            (
                "all-others",
                "a<sub>n</sub> is positive: every other output is pushed down, the likelier the "
                "harder.",
            ),
            (
                "some-others",
                "The other outputs are pushed down, the likelier the harder; where a<sub>n</sub> "
                "is 0, as for an output of −inf, there is no push.",
            ),
        ]
        total = (
            "The derivatives sum to 0: the true output is pushed up by as much as all the others "
            "together are pushed down."
        )
        more = "".join(self.when(case, f" {words}") for case, words in others) + f" {total}"
        return "".join(self.when(*sentence) for sentence in sentences) + self.when("moving", more)

    def _chain_rule(self, i: str) -> str:
        by_a = value("inv", number(self.e.gradient_by_probability), "y")
        product = self.when("product", "The third column is the product of the two before it.")
        beyond = self.when(
            "no-product",
            "The third column would be the product of the two before it, but one of those is beyond"
            " what float64 can hold here. It is computed as a − onehot, which stays right.",
        )
        return (
            f"The way there is the chain rule. J depends on a{i} alone, so ∂J/∂a has one entry, "
            f"−1/a{i} = {by_a}; a{i} depends on every output. {product}{beyond}"
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
        """A picture of the steps, and the same in numbers."""
        path, i = drawn_path(self.e), f"<sub>{self.index('y')}</sub>"
        if not (self.cases["path"] or self.controlled):
            return ""
        chart, rows = "", ""
        ends = dict.fromkeys(("steps", "a0", "a1", "J0", "J1"), "")
        if path is not None:
            a, J = path.target_probability, path.loss
            chart = path_chart(path, self.e.number(self.e.target))
            rows = "".join(
                f'<tr><th scope="row">{step}</th><td>{number(a_y)}</td><td>{number(loss)}</td></tr>'
                for step, a_y, loss in zip(path.steps.tolist(), a, J, strict=True)
            )
            ends = {
                "steps": f"{path.steps[-1]} steps",
                "a0": number(a[0]), "a1": number(a[-1]), "J0": number(J[0]), "J1": number(J[-1]),
            }  # fmt: skip
        at = {name: value(f"path-{name}", shown) for name, shown in ends.items()}
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
            f"<figure>{chart or EMPTY_CHART}<figcaption>{reached}{not_reached}</figcaption>"
            '</figure>\n<details class="path"><summary>The same in numbers</summary><table><thead>'
            f'<tr><th scope="col">steps</th><th scope="col">a{i}</th><th scope="col">J</th></tr>'
            f"</thead><tbody>{rows}</tbody></table></details>\n"
        )
        return self.when("path", figure, tag="div")

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
        note = self.stale("This is about the example as it was given.", "changed")
        return (
            '<section class="given">\n<h2>4. The layer that made the outputs, z = W·x'
            f"{bias}</h2>\n{note}{table}\n"
            f"<p>x is {vector(x)}. ∂J/∂W = (a − onehot) xᵀ: each row is x times one number. So a "
            f"step for W changes z by −{e.step:g} · (‖x‖²{one}) · ∂J/∂z, with ‖x‖²{one} = "
            f"{number(layer.gain)}, and the loss is {number(layer.after.loss)} after it.</p>\n"
            "</section>"
        )

    def remarks(self) -> str:
        from . import text

        said = self.e.remarks()
        if not said:
            return ""
        items = "".join(f"<p>{text(remark)}</p>" for remark in said)
        about = f"This is about the example as it was given{self.numbered()}."
        note = self.stale(about, "stale")
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
        about = f"The answers are about the example as it was given{self.numbered()}."
        note = self.stale(about, "stale")
        return f'<section class="given questions">\n<h2>Questions</h2>\n{note}{items}\n</section>'


def _signed(slope: float) -> str:
    return f"+{number(slope)}" if slope > 0 else number(slope)


def _push(slope: float) -> str:
    return "↑ up" if slope < 0 else "↓ down" if slope > 0 else ""
