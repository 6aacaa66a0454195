"""The explanation of a set whose labels are probabilities.

An example with the probabilities ¾ and ¼ is as three of the one class and one of the other: the set
of these, with plain labels, has the same numbers.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tests.arithmetic import confirm, plain
from tests.commands import fails

from softmaxloss import LabelError, explain_set
from softmaxloss.explanation import explain, set_sums

RNG = np.random.default_rng(8)
PARTS = 8  # of which the probabilities are multiples


def soft_set(rows, classes):
    """Logits, probabilities, and the plain set with the same numbers."""
    z = RNG.normal(0.0, 2.0, (rows, classes))
    y = RNG.integers(0, min(classes, 4), (rows, PARTS))
    q = np.array([np.bincount(row, minlength=classes) for row in y]) / PARTS
    return z, q, np.repeat(z, PARTS, axis=0), y.reshape(-1)


def test_probabilities_count_as_parts_of_examples():
    z, q, plain_z, plain_y = soft_set(60, 5)
    soft, hard = explain_set(z, q), explain_set(plain_z, plain_y)
    assert soft.soft
    assert not hard.soft
    assert soft.mean_loss == pytest.approx(hard.mean_loss, rel=1e-14)
    np.testing.assert_allclose(soft.class_counts, hard.counts / PARTS, rtol=1e-14)
    for name in ("class_loss", "pulls", "net_gradient", "pushes", "shares", "mean_probability"):
        np.testing.assert_allclose(
            getattr(soft, name), getattr(hard, name), rtol=1e-12, atol=1e-15, err_msg=name
        )
    np.testing.assert_allclose(soft.calibration.losses, hard.calibration.losses, rtol=1e-12)
    assert soft.calibration.best.temperature == pytest.approx(
        hard.calibration.best.temperature, rel=1e-9
    )
    ours, theirs = soft.strongest(20), hard.strongest(20)
    assert [push[:2] for push in ours] == [push[:2] for push in theirs]
    np.testing.assert_allclose([p.share for p in ours], [p.share for p in theirs], rtol=1e-12)


def test_of_many_classes_the_strong_pairs_are_kept(monkeypatch):
    monkeypatch.setattr(set_sums, "ALL_PAIRS", 3)
    z, q, plain_z, plain_y = soft_set(60, 7)
    soft = explain_set(z, q)
    monkeypatch.setattr(set_sums, "ALL_PAIRS", 2048)
    matrix = explain_set(plain_z, plain_y).pushes
    assert soft.pairs is not None
    off_by = matrix[soft.pairs.true, soft.pairs.pushed] - soft.pairs.mean
    assert (off_by >= -1e-12).all()
    assert (off_by <= soft.pairs.short[soft.pairs.true] + 1e-12).all()
    np.testing.assert_allclose(soft.pulls[:4], matrix.diagonal()[:4], rtol=1e-12)


def test_the_label_is_the_most_probable_class():
    z, q, _, _ = soft_set(60, 5)
    soft, hard = explain_set(z, q), explain_set(z, q.argmax(axis=1))
    for name in ("counts", "accuracy", "top_k"):
        np.testing.assert_equal(getattr(soft, name), getattr(hard, name))
    np.testing.assert_array_equal(soft.confusions.count, hard.confusions.count)


@pytest.mark.parametrize("dtype", [float, int, bool])
def test_one_hot_rows_are_labels(dtype):
    z, y = RNG.normal(size=(30, 4)), RNG.integers(0, 4, 30)
    one_hot = np.eye(4)[y].astype(dtype) if dtype is not bool else np.eye(4)[y].astype(np.uint8)
    assert explain_set(z, one_hot, first_class=1).to_json() == (
        explain_set(z, y + 1, first_class=1).to_json()
    )


def test_shards_merge():
    z, q, _, _ = soft_set(60, 5)
    parts = [explain_set(z[k : k + 20], q[k : k + 20], first_row=k) for k in (0, 20, 40)]
    whole, merged = explain_set(z, q), parts[2].merge(*parts[:2])
    assert merged.soft
    assert merged.mean_loss == whole.mean_loss
    assert merged.calibration.losses.tolist() == whole.calibration.losses.tolist()
    np.testing.assert_allclose(merged.pushes, whole.pushes, rtol=1e-13)
    assert str(merged) == str(whole)


def test_the_page_explains_each_example_as_explain_does():
    z, q, _, _ = soft_set(12, 4)
    report = explain_set(z, q)
    page = report.to_html()
    confirm(plain(page))
    (text,) = re.findall(r"Each of them explained.*?</section>", page, re.DOTALL)
    examples = re.findall(r'<div id="row-(\d+)">(.*?)</div></details>', text, re.DOTALL)
    assert (
        len(examples)
        == 12
        - report.examined.found
        + len(report.examined.suspects)
        - 2 * (report.examined.found == 0)
        or len(examples) >= 10
    )
    for row, body in ((int(row), body) for row, body in examples):
        why = explain(z[row], q[row])
        loss = why.as_given.loss if hasattr(why, "as_given") else why.before.loss
        assert f"= {loss:.4f} nats" in body
        cells = re.findall(r'<th scope="row">(\d).*?</th>((?:<td>.*?</td>)+)', body)
        gradient = why.as_given.gradient if hasattr(why, "as_given") else why.gradient
        for n, tds in cells:
            shown = re.findall(r"<td>(.*?)</td>", tds)
            assert shown[3] == f"{q[row, int(n)]:.4f}"
            assert float(shown[4].replace("−", "-")) == pytest.approx(gradient[int(n)], abs=5.1e-5)
            assert ("up" in shown[5]) == (gradient[int(n)] < 0)
        assert f"explain(logits[{row}], target[{row}])" in body


def test_the_commands(run):
    """`explain` of a file, and the page of `score`."""
    z, q, _, _ = soft_set(30, 4)
    np.save("z.npy", z)
    np.save("q.npy", q)
    code, out, err = run("explain", "--file", "z.npy", "--labels", "q.npy", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["soft"] is True
    assert data["mean_loss"] == explain_set(z, q).mean_loss
    assert run("explain", "--file", "z.npy", "--labels", "q.npy", "--html", "a.html")[0] == 0
    code, out, err = run("score", "z.npy", "q.npy", "--html", "b.html")
    assert (code, err) == (0, "wrote b.html\n")
    with open("a.html") as a, open("b.html") as b:
        assert a.read() == b.read()


def test_wrong_probabilities_are_one_line(run):
    z, q, _, _ = soft_set(6, 4)
    with pytest.raises(LabelError, match=r"target: row 2 sums to 0\.5"):
        explain_set(z, q * np.where(np.arange(6) == 2, 0.5, 1.0)[:, None])
    with pytest.raises(LabelError, match="4 logits need one class index or 4 prob"):
        explain_set(z, np.full((6, 3), 1 / 3))
    with pytest.raises(LabelError, match=r"labels have shape \(6, 2, 2\)"):
        explain_set(z, np.full((6, 2, 2), 0.5))
    np.save("z.npy", z)
    np.save("q.npy", q[:, :3] / q[:, :3].sum(axis=1, keepdims=True))
    fails(run("explain", "--file", "z.npy", "--labels", "q.npy"), "4 probabilities for each")
