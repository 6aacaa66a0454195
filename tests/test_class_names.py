"""Labels given by name: for one example, for several labels, for a set."""

from __future__ import annotations

import numpy as np
import pytest

from softmaxloss import LabelError, explain, explain_set
from softmaxloss.text import printable

SEED = [2.0, 1.0, 0.1, -1.2]
NAMES = ["cat", "dog", "fox", "owl"]
DIGITS = ["3", "4", "5", "0"]


@pytest.mark.parametrize("name", ["fox", np.str_("fox"), np.array("fox"), ["fox"], ("fox",)])
def test_one_label_by_name(name):
    why = explain(SEED, name, classes=NAMES)
    assert why.to_dict() == explain(SEED, 2, classes=NAMES).to_dict()
    assert explain(SEED, name, classes=NAMES, first_class=1).target == 2


@pytest.mark.parametrize("names", [["owl", "fox"], np.array(["fox", "owl"], object)])
def test_several_labels_by_name(names):
    wanted = explain(SEED, [0, 0, 1, 1], classes=NAMES).to_dict()
    assert explain(SEED, names, classes=NAMES).to_dict() == wanted


@pytest.mark.parametrize("dtype", [None, object])
@pytest.mark.parametrize("first_class", [0, 1])
def test_a_set_by_name(dtype, first_class):
    z = np.random.default_rng(0).normal(size=(50, 4))
    y = np.arange(50) % 4
    named = explain_set(z, np.array(NAMES, dtype)[y], classes=NAMES, first_class=first_class)
    numbered = explain_set(z, y + first_class, classes=NAMES, first_class=first_class)
    assert named.to_dict() == numbered.to_dict()


def test_text_is_a_name_and_an_integer_a_number():
    assert explain(SEED, "3", classes=DIGITS).target == 0
    assert explain(SEED, 3, classes=DIGITS).target == 3
    assert explain(SEED, ["3", "0"], classes=DIGITS).labels == [0, 3]
    z = [SEED, SEED]
    assert [e.label for e in explain_set(z, ["0", "5"], classes=DIGITS).top] == [3, 2]
    assert [e.label for e in explain_set(z, [0, 2], classes=DIGITS).top] == [2, 0]


@pytest.mark.parametrize(
    ("label", "names", "says"),
    [
        ("fxo", NAMES, "the label 'fxo' is no class: did you mean 'fox'?"),
        ("Fox ", NAMES, "did you mean 'fox'?"),
        ("zebra", NAMES, "the classes are 'cat', 'dog', 'fox', 'owl'"),
        ("zebra", ["x" * 1_000_000, "鳥", "\x1b[31m", "c"], r"'鳥', '\x1b[31m', 'c'"),
        ("z" * 1_000_000, NAMES, "zzz…' is no class"),
        ("2", NAMES, "a class number must be an integer, not text"),
        ("cat", ["cat", "cat", "fox", "owl"], "the name of several classes: pass the number"),
        ("fox", None, "the label 'fox' is a name: pass classes=[…]"),
        (["fox", "fox"], NAMES, "the label 'fox' is given twice"),
        ([["fox"]], NAMES, "shape (1, 1)"),
        (np.array(["fox", 1], object), NAMES, "the label 1 is not text, as others are"),
    ],
)
def test_a_wrong_name_is_one_line(label, names, says):
    with pytest.raises(LabelError) as caught:
        explain(SEED, label, classes=names)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["fox", "owk"], "the label 'owk' of row 1 is no class: did you mean 'owl'?"),
        (["fox", None], "the label None of row 1 is not text"),
        ([["fox"], ["owl"]], "shape (2, 1)"),
    ],
)
def test_a_wrong_name_in_a_set_is_one_line(labels, says):
    with pytest.raises(LabelError) as caught:
        explain_set([SEED, SEED], np.array(labels), classes=NAMES)
    assert says in str(caught.value)


def test_near_names_among_many_classes():
    names = [f"class {n}" for n in range(50_000)]
    with pytest.raises(LabelError, match="did you mean 'class 4711'"):
        explain(np.zeros(50_000), "class_4711", classes=names, steps=0)


def test_names_of_every_script_are_shown_as_they_are() -> None:
    for name in ("👩‍🔬", "می‌خواهم", "chat\xa0noir", "猫\u3000犬"):
        assert printable(name) == name
    for name, shown in {
        "a\u200db": r"a\u200db",  # invisible between Latin letters
        "x\u202ey": r"x\u202ey",
        "\u2028": r"\u2028",
        "\xad": r"\xad",
    }.items():
        assert printable(name) == shown
