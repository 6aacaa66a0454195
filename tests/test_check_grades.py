"""What counts as wrong, the text of a report, and what a teacher gets: a table, JUnit XML."""

from __future__ import annotations

import csv
import io
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.planted import seeds

from softmaxloss import check
from softmaxloss.checking import BANK, Report
from softmaxloss.checking.settings import Settings, find_mistake
from softmaxloss.cli.grades import Grade, as_csv, as_junit, as_text

INDEXED = "negative-label-accepted"


def softmax(z: Any, shift: Any = None) -> Any:
    with np.errstate(all="ignore"):
        e = np.exp(z if shift is None else z - shift)
        return e / e.sum(axis=1, keepdims=True)


def both(a: Any, y: Any, of: Any = lambda a: a) -> tuple[Any, Any]:
    """The mean of −log of(a_y), and the gradient of −log a_y."""
    n = len(y)
    d = a.copy()
    d[np.arange(n), y] -= 1
    with np.errstate(all="ignore"):
        return -np.log(of(a[np.arange(n), y])).mean(), d / n


def naive(z: Any, y: Any) -> Any:
    return both(softmax(z), y)


def one_maximum(z: Any, y: Any) -> Any:
    return both(softmax(z, z.max()), y)


def with_epsilon(z: Any, y: Any) -> Any:
    return both(softmax(z), y, lambda a: a + 1e-8)


def clipped(z: Any, y: Any) -> Any:
    return both(softmax(z, z.max(axis=1, keepdims=True)), y, lambda a: np.clip(a, 1e-7, 1))


def clipped_logits(z: Any, y: Any) -> Any:
    return both(softmax(np.clip(z, -500, 500)), y)


def raises_for_large(z: Any, y: Any) -> Any:
    if abs(z).max() > 700:
        raise OverflowError("math range error")
    return both(softmax(z), y)


def naive_layer(W: Any, X: Any, y: Any, reg: Any) -> Any:
    loss, dz = both(softmax(X @ W), y)
    return loss + reg * (W * W).sum(), X.T @ dz + 2 * reg * W


def stable(z: Any, y: Any) -> Any:
    """Log softmax."""
    z = z - z.max(axis=1, keepdims=True)
    log_a = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -log_a[np.arange(len(y)), y].mean(), both(np.exp(log_a), y)[1]


def stable_layer(W: Any, X: Any, y: Any, reg: Any) -> Any:
    loss, dz = stable(X @ W, y)
    return loss + 0.5 * reg * (W * W).sum(), X.T @ dz + reg * W


def infinite(z: Any, y: Any) -> Any:
    return both(softmax(z, z.max(axis=1, keepdims=True)), y)


def summed(z: Any, y: Any) -> Any:
    loss, gradient = stable(z, y)
    return loss * len(y), gradient * len(y)


def in_a_loop(z: Any, y: Any) -> Any:
    """With the labels counted from 1."""
    total = 0.0
    for i in range(len(y)):
        s = z[i] - z[i].max()
        total -= s[y[i] - 1] - np.log(np.exp(s).sum())
    return total / len(y)


TEXTBOOK = [
    naive, one_maximum, with_epsilon, clipped, clipped_logits, raises_for_large, naive_layer
]  # fmt: skip


@seeds(0, slow=range(1, 5))
@pytest.mark.parametrize("function", TEXTBOOK, ids=lambda f: f.__name__)
def test_the_textbook_level(function: Any, seed: int) -> None:
    assert check(function, seed=seed, strict=True).verdict == "wrong"
    report = check(function, seed=seed, level="textbook")
    assert report.verdict == "right", str(report)
    assert check(function, seed=seed, level="textbook", strict=True).verdict == "right"


def test_the_textbook_level_can_be_narrowed() -> None:
    assert check(naive, level="textbook", deny=["no-max"]).counted == [BANK["no-max"]]


@pytest.mark.parametrize(
    ("wrong", "id"),
    [
        (lambda z, y: naive(z, y - 1), "labels-from-one"),
        (lambda z, y: (naive(z, y)[0], naive(z, y)[1] * len(y)), "gradient-not-divided"),
        (lambda z, y: (-with_epsilon(z, y)[0], with_epsilon(z, y)[1]), "no-minus"),
        (lambda W, X, y, reg: naive_layer(W, X, y, 0), "no-regularisation"),
        (lambda z, y, weight=None: naive(z, y)[0], "weight-unused"),
        (lambda z, y: (naive(z, y)[0] * 1.01, naive(z, y)[1]), None),
    ],
)
def test_what_is_wrong_for_ordinary_inputs_is_wrong_at_the_textbook_level(
    wrong: Any, id: str | None
) -> None:
    report = check(wrong, level="textbook")
    assert report.verdict == "wrong", str(report)
    assert [mistake.id for mistake in report.counted] == ([id] if id else [])
    assert report.reason


@pytest.mark.parametrize(
    ("function", "counted"),
    [(stable, set()), (stable_layer, set()), (infinite, {"log-of-underflow"}),
     (summed, {"sum", "gradient-of-the-sum"})],
)  # fmt: skip
def test_strict_counts_what_a_good_loss_has_not(function: Any, counted: set[str]) -> None:
    assert check(function).verdict == "right"
    report = check(function, strict=True)
    assert {mistake.id for mistake in report.counted} == counted, str(report)
    assert report.verdict == ("wrong" if counted else "right")


@pytest.mark.parametrize(
    ("function", "id"),
    [(summed, "sum"), (stable, INDEXED), (stable_layer, "half-regularisation")],
)
def test_what_is_denied_counts(function: Any, id: str) -> None:
    report = check(function, deny=[id])
    assert report.counted == [BANK[id]]
    assert report.reason == BANK[id].title
    assert f"({id}; a {BANK[id].kind} that counts as wrong here)" in str(report)
    assert check(function, deny=[i for i in BANK if i != id]).counted != [BANK[id]]


def test_settings_that_are_refused() -> None:
    for name in ("deny", "expected_failures"):
        with pytest.raises(ValueError, match="unknown mistake: 'no-maxx'; the nearest is no-max"):
            Settings(**{name: ["no-maxx"]})
        with pytest.raises(TypeError, match="must be a list or a dict, got 'sum'"):
            Settings(**{name: "sum"})
    with pytest.raises(ValueError, match="unknown mistake: 3; the nearest is"):
        find_mistake(3)
    with pytest.raises(ValueError, match="sum is both allowed and denied"):
        Settings(deny=["sum"], expected_failures=["bits", "sum"])
    with pytest.raises(ValueError, match='level must be one of "textbook", "stable", got None'):
        Settings(level=None)  # type: ignore[arg-type]


def test_right_reads_as_right() -> None:
    for function in (stable, infinite, summed, stable_layer):
        text = str(check(function, seed=1))
        first, empty, tried, *_ = text.splitlines()
        assert first.startswith("right: loss and gradient, called as f(")
        assert (empty, tried[:9]) == ("", "Tried on ")
        assert "Remarks, which do not count against it:\n" in text
        assert not [word for word in ("wrong:", "why:", "fix:", "weakness:") if word in text]


def test_a_mistake_in_two_parts_is_explained_once() -> None:
    text = str(check(lambda z, y: (naive(z, y)[0], naive(z, y)[1] * len(y)), seed=1))
    assert text.count("loss and gradient: the maximum is not subtracted") == 1
    assert text.count("why: ") == 2
    assert "no-max and gradient-not-divided together give your numbers on all 21 inputs" in text
    assert "   loss and gradient: wrong on " in str(check(naive, seed=1))


def test_the_inputs_come_last_and_in_short() -> None:
    text = str(
        check(lambda z, y: (stable(z, y)[0], stable(z, y)[1] + (len(y) == z.shape[1])), seed=1)
    )
    assert text.endswith(
        "Tried on 21 inputs; seed 1 repeats them:\n"
        "   loss: right on all\n"
        "   gradient: wrong on 1 of 21:\n"
        "      square: N = C, where a wrong axis raises no error\n"
    )  # fmt: skip


# --- tables and JUnit XML -------------------------------------------------------------------------

NAMES = ["=cmd.py", "+a.py", "-a.py", "@a.py", "\ta.py", "\ra.py", " =a.py", "＝a.py", 'a",b.py']


@pytest.fixture(scope="module")
def grades() -> list[Grade]:
    reports = [
        check(stable, seed=1),
        check(summed, seed=1),
        check(naive, seed=1),
        check(lambda z, y: (stable(z, y)[0] * 1.01, stable(z, y)[1]), seed=1),
        Report.not_checked("SyntaxError: =1+1 \x1b[31m", Settings(seed=1)),
        check(lambda z: softmax(z, z.max(axis=1, keepdims=True)), seed=1),
    ]
    return [Grade(f"sub/{k}.py", "f", report) for k, report in enumerate(reports)]


def rows(text: str) -> list[dict[str, str]]:
    assert text[0] == "\ufeff"
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_the_table(grades: list[Grade]) -> None:
    found = rows(as_csv(grades))
    assert [row["file"] for row in found] == [grade.file for grade in grades]
    assert all(bool(row["problem"]) == (row["verdict"] != "right") for row in found)
    assert [row["mistakes"] for row in found] == ["", "", "no-max", "", "", ""]
    assert found[0]["weaknesses"] == INDEXED
    assert found[1]["conventions"] == "sum gradient-of-the-sum"
    assert found[1]["why"] == ""
    assert found[2]["problem"] == BANK["no-max"].title
    assert found[2]["fix"] == BANK["no-max"].fix
    loop = check(in_a_loop, seed=1)
    (row,) = rows(as_csv([Grade("loop.py", "f", loop)]))
    assert row["fix"] == BANK["labels-from-one"].fix_in_loop
    assert "1.01 times the right one" in found[3]["problem"]


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_is_a_formula(name: str) -> None:
    report = Report.not_checked(name, Settings(seed=1))
    (row,) = rows(as_csv([Grade(name, name, report)]))
    for column in ("file", "function", "problem"):
        assert row[column].lstrip()[0] not in "=+-@\t\r＝", row
        assert row[column].endswith("a.py") or name in row[column]


def test_junit(grades: list[Grade]) -> None:
    names = [*grades, Grade("../up/a.ipynb", "Loss.forward", grades[0].report)]
    root = ElementTree.fromstring(as_junit(names))
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (root, suite):
        counts = [element.get(name) for name in ("tests", "failures", "errors")]
        assert counts == ["7", "2", "1"]
        assert float(str(element.get("time"))) >= 0
    cases = [[child.tag for child in case] for case in suite]
    assert cases == [[], [], ["failure"], ["failure"], ["error"], [], []]
    assert all({"classname", "name", "time"} == set(case.attrib) for case in suite)
    assert suite[0].attrib["classname"] == "sub.0"
    assert suite[6].attrib["classname"] == "up.a.ipynb"
    message = suite[2][0].attrib["message"]
    assert message == BANK["no-max"].title
    assert "fix: " in str(suite[2][0].text)
    assert suite[4][0].attrib["message"] == "SyntaxError: =1+1 \\x1b[31m"


def test_a_line_for_each(grades: list[Grade]) -> None:
    lines = as_text(grades).splitlines()
    assert lines[0] == "sub/0.py  right"
    assert lines[1] == "sub/1.py  right        sum, gradient-of-the-sum"
    assert lines[2] == f"sub/2.py  wrong        {BANK['no-max'].title} (no-max)"
    assert lines[4] == "sub/4.py  not checked  SyntaxError: =1+1 \\x1b[31m"
    assert lines[5] == "sub/5.py  right        checked as softmax"
    assert lines[6] == "3 right, 2 wrong, 1 not checked"
    two = [grades[0], grades[0]._replace(function="g")]
    assert as_text(two).splitlines()[:2] == ["sub/0.py:f  right", "sub/0.py:g  right"]
