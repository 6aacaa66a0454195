"""The scenes: from the outputs to the descent, a few words each, with the numbers on demand."""

import numpy as np

from ...text import as_html
from ..one_words import ONE_CLASS, PUSH, drawn_path
from ..rendering.html import paragraph, row, section
from ..rendering.numbers import direction, number, signed, zero
from . import drawing
from .chart import EMPTY_CHART, bar, path_chart
from .drawing import Share
from .facts import at_end
from .parts import Parts, names, numbers, picture, value


def scenes(page: Parts) -> str:
    """All scenes; those that need a softmax are hidden while there is none."""
    if page.e.terms.size == 1:
        return "\n".join([outputs(page), shares(page), term(page)])
    later = f"{shares(page)}\n{term(page)}\n{pushes(page)}\n{descent(page)}"
    return f"{outputs(page)}\n{page.when('softmax', later, tag='div')}"


def outputs(page: Parts) -> str:
    z_top = value("z", page.e.before.logits[page.position("top")], "top")
    right = page.when("right", " That is the true class: the prediction is right.")
    wrong = page.when(
        "wrong", f" The true class is {page.name('y')}: the prediction is wrong, for now."
    )
    largest = page.when(
        "softmax",
        f" Here {page.name('top')} has the largest, {z_top}, and is what the network predicts."
        f"{right}{wrong}",
    )
    words = (
        "The network gives each class one number, its output z, also called a logit. It may be "
        f"large or small, positive or negative.{largest}"
    )
    return section("1. The outputs", f"<p>{words}</p>", "scene")


def shares(page: Parts) -> str:
    e, by_T = page.e, page.warm("/T")
    a = e.before.probabilities

    def cells(n: int) -> list[str]:
        z = value("z", e.before.logits[n], n)
        return [z, value("exp", e.exponentials[n], n), value("a", a[n], n), bar(a[n], n)]

    table = page.table(
        "The outputs and their probabilities",
        ["class", "output z", "exp(z−m)", "probability a", ""],
        cells,
        [
            "",
            page.of_rest("exp", e.exponentials),
            page.of_rest("a", a),
            bar(float(a[page.rest].sum()), "rest"),
        ],
        ["", value("den", e.denominator), value("sum-a", float(a.sum())), ""],
    )
    divided = page.when(
        "know-share", f"{page.operand('share')} / {page.operand('share', 1)} = ", css="operands"
    )
    formula = (
        f'<p class="formula">a{page.y} = exp(z{page.y}{by_T} − m) / Σ exp(z{by_T} − m) = '
        f"{divided}{page.a_y}</p>\n<p>m = {value('m', e.largest)} is the largest output"
        f"{page.warm(', divided by T')}. Subtracting it changes no share, and keeps exp from "
        "overflowing.</p>"
    )
    words = (
        "exp makes every output positive. Divided by their sum, they are probabilities: shares of "
        "one whole. All classes have the same denominator, so whoever gains takes from the others."
    )
    warm = page.when(
        "warm",
        f"The temperature T is {value('T', '1')}: a = softmax(z/T), and the derivative with respect"
        " to z is divided by T, too: ∂J/∂z = (a − onehot)/T.",
        tag="p",
    )
    whole = picture("stack", drawing.stack(parts_of_one(page)))
    return section(
        "2. Shares of one denominator",
        f"<p>{words}</p>{warm}{whole}{numbers(f'{table}{formula}')}",
        "scene shares",
    )


def parts_of_one(page: Parts) -> list[Share]:
    """The probabilities as parts of one bar."""
    e, a = page.e, page.e.before.probabilities
    found = [Share(n, as_html(names(e, n)[1]), float(a[n]), n == e.target) for n in page.shown]
    if page.rest.size:
        found.append(Share("rest", "others", float(a[page.rest].sum())))
    return found


def term(page: Parts) -> str:
    e, y = page.e, page.y

    def cells(n: int) -> list[str]:
        shown = number(e.terms[n])
        a = value("a", e.before.probabilities[n], n)
        return [a, value("term", shown if n == e.target else f"({shown})", n)]

    table = page.table(
        "The loss that each class would have",
        ["class", "probability a", "−log a"],
        cells,
        [page.of_rest("a", e.before.probabilities), ""],
        [value("sum-a", float(e.before.probabilities.sum())), ""],
    )
    by_T = page.warm("/T")
    sign = value("minus-z", "+" if e.before.logits[e.target] < 0 else "−")
    parts = page.when(
        "know-lse",
        f"{page.operand('lse')} {sign} {page.operand('lse', 1)} = ",
        css="operands",
    )
    facts = {
        "J in nats": page.J,
        "J in bits": value("bits", e.bits),
        "a uniform guess, ln C": value("lnC", e.uniform_loss),
        "log Σ exp z": value("lse", e.logsumexp),
        "exp(−J)": page.a_y,
        "rank of the true class": value("rank", str(e.rank)),
    }
    beside = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items())
    formulas = (
        f'<p class="formula">J = log Σ exp z{by_T} − z{y}{by_T} = '
        f"{parts}{value('J2', e.loss_from_logits)}</p>\n"
        f'<dl class="beside">{beside}</dl>'
    )
    log = page.when("know-log", f"−log {page.operand('log')} = ", css="operands")
    words = (
        "<p>The loss asks for one probability only, that of the true class:</p>"
        f'<p class="formula">J = −log a{y} = {log}<strong>{page.J}</strong></p>'
        f"<p>It is 0 where a{y} is 1, and grows without end as a{y} goes to 0. The other terms, in "
        "brackets below, are not added. Yet every output counts: each is in the denominator of "
        f"a{y}.</p>"
    )
    if e.terms.size == 1:
        words = paragraph(ONE_CLASS)
    return section("3. The one term that is the loss", words + numbers(table + formulas), "scene")


def pushes(page: Parts) -> str:
    e, y = page.e, page.y

    def cells(n: int) -> list[str]:
        slope = float(e.gradient[n])
        by_a = number(e.gradient_by_probability) if n == e.target else "0"
        row = [value("inv", by_a, n), value("jac", e.jacobian_row[n], n)]
        return row + slopes(slope, n)

    def slopes(slope: float, n: int | str) -> list[str]:
        words = value("push", direction(slope), n)
        return [value("grad", signed(slope), n), words]

    others = slopes(float(e.gradient[page.rest].sum()), "rest")
    jac_sum = value("sum-jac", zero(float(e.jacobian_row.sum())))
    table = page.table(
        "The derivatives of the loss",
        ["class", "∂J/∂a", f"∂a{y}/∂z", "∂J/∂z", "z goes"],
        cells,
        ["0", page.of_rest("jac", e.jacobian_row), *others],
        ["", jac_sum, value("sum-grad", zero(e.gradient_sum)), ""],
    )
    opened, closed = page.warm("("), page.warm(f")/{value('T', '1')}")
    minus_1 = page.when(
        "know-slope", f"{opened}{page.operand('slope')} − 1{closed} = ", css="operands"
    )
    sentences = " ".join(
        page.when(fact, words.format(a_y=f"a{y}", a_n="a<sub>n</sub>")) for fact, words in PUSH
    )
    formulas = (
        f'<p class="formula">∂J/∂z{y} = {page.warm("(")}a{y} − 1{page.warm(")/T")} = '
        f"{minus_1}{value('plain-grad', e.gradient[e.target], 'y')}"
        f'</p>\n<p class="formula">∂J/∂z<sub>n</sub> = a<sub>n</sub>{page.warm("/T")}'
        " for every other class n</p>"
    )
    return section(
        "4. Who is pushed where",
        f"{formulas}\n<p>{sentences}</p>{numbers(f'{table}<p>{_chain_rule(page)}</p>')}",
        "scene",
    )


def _chain_rule(page: Parts) -> str:
    y = page.y
    divided = page.when("know-inv", f"−1/{page.operand('inv')} = ", css="operands")
    by_a = value("inv", page.e.gradient_by_probability, "y")
    product = page.when("product", "The third column is the product of the two before it.")
    beyond = page.when(
        "no-product",
        "The third column would be the product of the two before it, but one of those is beyond"
        " what float64 can hold here. It is computed as a − onehot, which stays right.",
    )
    return (
        f"By the chain rule: J depends on a{y} alone, so ∂J/∂a has one entry, "
        f'<span class="formula inline">−1/a{y} = {divided}{by_a}</span>; a{y} depends on every '
        f"output. {product}{beyond}"
    )


def descent(page: Parts) -> str:
    e, y = page.e, page.y
    before, z, a = e.before, e.after.logits, e.after.probabilities
    table = page.table(
        "One step of descent",
        ["class", "z", "z after", "a", "a after"],
        lambda n: [
            value("z", before.logits[n], n),
            value("z1", z[n], n),
            value("a", before.probabilities[n], n),
            value("a1", a[n], n),
        ],
        ["", "", page.of_rest("a", before.probabilities), page.of_rest("a1", a)],
        ["", "", "", value("sum-a", float(a.sum()))],
    )
    alpha = value("step", f"{e.step:g}")
    moved = page.when(
        "know-move",
        f"{page.operand('move')} + {alpha} · {page.operand('move', 1)} = ",
        css="operands",
    )
    formula = (
        f'<p class="formula">z{y} − {alpha} · ∂J/∂z{y} = {moved}{value("z1", z[e.target], "y")}</p>'
    )
    words = (
        f"<p>A step moves every output against its derivative, here by {alpha} times its arrow. "
        f"The loss goes from {page.J} to {value('J1', e.after.loss)}, a{y} from {page.a_y} to "
        f"{value('a1', a[e.target], 'y')}. {wrong_ones(page)}</p>"
    )
    content = f"{words}{_path(page)}{numbers(f'{formula}{table}{_steps(page)}')}"
    return section("5. The descent", content, "scene")


def wrong_ones(page: Parts) -> str:
    """That wrong outputs fall, while their probabilities may rise for a while."""
    e, name = page.e, page.name("riser")
    n = page.position("riser")

    def of(v: str, values: np.ndarray) -> str:
        return value(v, float(values[n]), "riser")

    end = value("a-end", at_end(e).get(n, 0.0), "riser")
    later = page.when(
        "falls-later",
        f" In the long run it falls, too: to {end} after {value('end-steps', _count(page))}.",
    )
    rises = page.when(
        "rises",
        f"Every wrong output falls. Not yet every wrong probability: {name}’s output falls from "
        f"{of('z', e.before.logits)} to {of('z1', e.after.logits)}, but its probability rises from "
        f"{of('a', e.before.probabilities)} to {of('a1', e.after.probabilities)}, because "
        f"{page.name('faller')} falls more.{later}",
    )
    none = page.when(
        "none-rises", "No wrong output rises, and here no wrong probability does, either."
    )
    return rises + none


def _count(page: Parts) -> str:
    path = drawn_path(page.e)
    return "" if path is None else f"{path.steps[-1]} steps"


def _path(page: Parts) -> str:
    """A picture of the steps."""
    path, y = drawn_path(page.e), page.y
    if not (page.facts["path"] or page.controlled):
        return ""
    chart, ends = EMPTY_CHART, ["", "", "", "", ""]
    if path is not None:
        a, J = path.target_probability, path.loss
        chart = path_chart(path, as_html(names(page.e, page.e.target)[0]))
        ends = [_count(page), *map(number, (a[0], a[-1], J[0], J[-1]))]
    keys = ("steps", "a0", "a1", "J0", "J1")
    at = {k: value(f"path-{k}", shown) for k, shown in zip(keys, ends, strict=True)}
    a_y, J_ = f'<b class="a">a{y}</b>', '<b class="J">J</b>'
    reached = page.when(
        "reached",
        f"Step after step, {a_y} goes to 1 and {J_} to 0: after {at['steps']} they are "
        f"{at['a1']} and {at['J1']}.",
    )
    not_reached = page.when(
        "not-reached",
        f"In {at['steps']}, {a_y} goes from {at['a0']} to {at['a1']}, and {J_} from "
        f"{at['J0']} to {at['J1']}.",
    )
    figure = f"<figure>{chart}<figcaption>{reached}{not_reached}</figcaption></figure>"
    return page.when("path", figure, tag="div")


def _steps(page: Parts) -> str:
    """The same as the picture in numbers."""
    path = drawn_path(page.e)
    if not (page.facts["path"] or page.controlled):
        return ""
    rows = ""
    if path is not None:
        rows = "".join(
            row(str(step), [number(a_y), number(loss)])
            for step, a_y, loss in zip(
                path.steps.tolist(), path.target_probability, path.loss, strict=True
            )
        )
    table = (
        '<table class="path"><thead><tr><th scope="col">steps</th>'
        f'<th scope="col">a{page.y}</th><th scope="col">J</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return page.when("path", table, tag="div")
