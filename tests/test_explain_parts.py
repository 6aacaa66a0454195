"""What an explanation holds beside the loss and one step: the softmax taken apart, the path of
descent, the linear layer, several labels. Against mpmath, numerical derivatives and PyTorch."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softmaxloss import LabelError, OptionError, cross_entropy
from softmaxloss.explanation import Explanation, SeveralLabels, explain, explain_set

INF = math.inf
SEED = [2.0, 1.0, 0.1, -1.2]
ULP = 2.0**-53


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


# --- the softmax taken apart ---------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("offset", [0.0, -1e3, 1e6])
def test_the_parts_of_the_softmax(scale: float, offset: float) -> None:
    z = np.random.default_rng(3).normal(0, scale, 7) + offset
    why = explain(z, 4)
    assert why.largest == z.max()
    with mpmath.workdps(60):
        shifted = [mpmath.mpf(float(x)) - mpmath.mpf(float(z.max())) for x in z]
        total = mpmath.fsum(mpmath.exp(x) for x in shifted)
        for got, want in zip(why.exponentials, shifted, strict=True):
            # The difference is rounded to half an ulp, which exp makes as large a relative error.
            wanted = mpmath.exp(want)
            assert abs(got - wanted) <= (abs(want) + 2) * ULP * wanted
        assert abs(why.denominator - total) <= (np.ptp(z) + 2) * ULP * total
    assert why.before.probabilities == pytest.approx(
        why.exponentials / why.denominator, rel=1e-15, abs=0
    )
    assert why.bits == pytest.approx(why.before.loss / math.log(2), rel=1e-15)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=8), st.integers(0, 7))
@settings(deadline=None)
def test_the_chain_rule_gives_the_gradient(z: list[float], y: int) -> None:
    """∂J/∂a_y · ∂a_y/∂z_n; and each of the two by numerical derivatives."""
    y %= len(z)
    why = explain(z, y, steps=0)
    route = why.gradient_by_probability * why.jacobian_row
    # a_y and 1/a_y = exp(J) have each the error of exp, of numbers up to 40.
    assert route == pytest.approx(why.gradient, rel=100 * ULP, abs=0)
    with mpmath.workdps(40):
        a_y = mpmath.exp(-mpmath.mpf(why.before.loss))
        assert float(-mpmath.diff(mpmath.log, a_y)) == pytest.approx(why.gradient_by_probability)

        def probability(x: Any) -> Any:
            values = [mpmath.mpf(v) for v in z]
            values[0] = x
            exps = [mpmath.exp(v) for v in values]
            return exps[y] / mpmath.fsum(exps)

        slope = float(mpmath.diff(probability, mpmath.mpf(z[0])))
        assert why.jacobian_row[0] == pytest.approx(slope, rel=1e-9, abs=1e-300)


# --- the path ------------------------------------------------------------------------------------


def test_the_path_is_descent() -> None:
    why = explain(SEED, 2)
    path = why.path
    assert path is not None
    z, taken = np.array(SEED), 0
    for k, at in enumerate(path.steps):
        while taken < at:
            a = np.exp(z) / np.exp(z).sum()
            z = z - 0.1 * (a - np.eye(4)[2])
            taken += 1
        a = np.exp(z) / np.exp(z).sum()
        # Each of up to a thousand steps may add a few roundings of numbers below 5.
        np.testing.assert_allclose(path.logits[k], z, rtol=0, atol=1e-12)
        np.testing.assert_allclose(path.probabilities[k], a, rtol=1e-11)
        assert path.loss[k] == pytest.approx(-math.log(a[2]), rel=1e-10)
        assert path.target_probability[k] == pytest.approx(a[2], rel=1e-11)
    assert path.steps.tolist() == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 754]
    assert path.reached
    assert path.target_probability[-2] < 0.99 <= path.target_probability[-1]
    np.testing.assert_array_equal(path.logits[1], why.after.logits)


@pytest.mark.parametrize(
    ("logits", "options", "steps", "reached"),
    [
        (SEED, {"steps": 3}, [0, 1, 2, 3], False),
        (SEED, {"steps": 0}, [0], False),
        ([9.0, 0.0], {}, [0], True),  # there already
        ([1e30, -1e30], {}, [0], False),  # float64 shows no step
        ([0.0, 1.0], {"step": 1e308}, None, True),
        (SEED, {"steps": 10**12, "step": 1e-300}, [0], False),
        ([3.0], {}, [0], True),
    ],
)
def test_where_a_path_ends(
    logits: list[float], options: dict[str, Any], steps: list[int] | None, reached: bool
) -> None:
    path = explain(logits, 0 if len(logits) != 2 or logits[0] == 9.0 else 1 - (logits[0] == 0.0),
                   **options).path  # fmt: skip
    assert path is not None
    assert path.reached == reached
    if steps is not None:
        assert path.steps.tolist() == steps


@pytest.mark.parametrize("logits", [[math.nan, 1.0], [0.0, -INF], [INF, 0.0]], ids=str)
def test_no_path_where_no_step_is_possible(logits: list[float]) -> None:
    why = explain(logits, 1)
    assert why.path is None
    assert json.loads(why.to_json())["path"] is None


def test_the_path_of_many_classes_records_the_strongest() -> None:
    z = np.random.default_rng(0).normal(0, 3, 50_000)
    why = explain(z, 7, steps=20)
    assert why.path is not None
    assert why.path.classes.tolist() == why.strongest(12)
    assert why.path.logits.shape == (6, 12)


# --- the linear layer ----------------------------------------------------------------------------


@pytest.mark.parametrize("with_bias", [False, True])
def test_the_layer_against_pytorch(with_bias: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    W, x, b = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=4)
    why = explain(None, 1, features=x, linear_weight=W, linear_bias=b if with_bias else None,
                  step=0.3)  # fmt: skip
    layer = torch.nn.Linear(3, 4, bias=with_bias, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W))
        if with_bias:
            layer.bias.copy_(torch.from_numpy(b))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.3)
    target = torch.tensor(1)
    loss = torch.nn.functional.cross_entropy(layer(torch.from_numpy(x)), target)
    loss.backward()
    ours = why.layer
    assert ours is not None
    assert why.before.loss == pytest.approx(loss.item(), rel=1e-14)
    near = {"rtol": 1e-13, "atol": 1e-15}
    np.testing.assert_allclose(ours.gradient_by_weight, layer.weight.grad.numpy(), **near)
    optimizer.step()
    np.testing.assert_allclose(ours.weight_after, layer.weight.detach().numpy(), **near)
    if with_bias:
        np.testing.assert_allclose(ours.bias_after, layer.bias.detach().numpy(), **near)
    z = layer(torch.from_numpy(x)).detach()
    np.testing.assert_allclose(ours.after.logits, z.numpy(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(
        ours.after.logits, why.before.logits - 0.3 * ours.gain * why.gradient, rtol=1e-12
    )
    assert ours.after.loss == pytest.approx(
        torch.nn.functional.cross_entropy(z, target).item(), rel=1e-12
    )


def test_logits_of_a_layer_in_half_precision_are_its_logits() -> None:
    rng = np.random.default_rng(1)
    W, x = rng.normal(size=(6, 64)), rng.normal(size=64)
    z = (W.astype(np.float16) @ x.astype(np.float16)).astype(np.float16)
    why = explain(z, 3, features=x, linear_weight=W)
    assert isinstance(why, Explanation)
    np.testing.assert_array_equal(why.before.logits, z)


def test_the_layer_in_text_and_json() -> None:
    why = explain(None, 1, features=[1.0, 2.0, 2.0], linear_weight=np.eye(3), linear_bias=[0, 0, 1])
    assert isinstance(why, Explanation)
    text = flat(why.to_text())
    assert "4. The layer that made the outputs, z = W·x + b" in text
    assert "‖x‖² + 1 = 10.0000" in text
    data = json.loads(why.to_json())["layer"]
    assert np.shape(data["weight_after"]) == (3, 3)
    assert data["gain"] == 10.0
    large = explain(None, 1, features=np.ones(400), linear_weight=np.zeros((300, 400)))
    assert isinstance(large, Explanation)
    assert json.loads(large.to_json())["layer"]["weight"] is None


# --- several labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [[0, 0, 1, 0], [0.0, 0.0, 1.0, 0.0], [False, False, True, False]])
def test_a_one_hot_target_is_its_class(q: list[Any]) -> None:
    why = explain(SEED, q)
    assert isinstance(why, Explanation)
    assert why.to_dict() == explain(SEED, 2).to_dict()


def test_several_labels_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    q = [0.0, 1.0, 1.0, 0.5]
    why = explain(SEED, q)
    assert isinstance(why, SeveralLabels)
    error, total, mean = why.policies
    assert error.error is not None
    assert "sums to 2.5, not 1" in error.error
    assert error.loss is error.gradient is error.after is None
    for policy, target in ((total, q), (mean, np.array(q) / 2.5)):
        z = torch.tensor(SEED, dtype=torch.float64, requires_grad=True)
        target = torch.as_tensor(target, dtype=torch.float64)
        loss = torch.nn.functional.cross_entropy(z, target)
        loss.backward()
        assert policy.loss == pytest.approx(loss.item(), rel=1e-14)
        np.testing.assert_allclose(policy.gradient, z.grad.numpy(), rtol=1e-13)
        after = (z - 0.1 * z.grad).detach()
        assert policy.after is not None
        np.testing.assert_allclose(policy.after.logits, after.numpy(), rtol=1e-14)
        assert policy.after.loss == pytest.approx(
            torch.nn.functional.cross_entropy(after, target).item(), rel=1e-13
        )
        # Nothing is less than the loss at the target's own shares.
        best = torch.nn.functional.cross_entropy(torch.log(target.clamp(min=1e-300)), target).item()
        assert policy.least_loss == pytest.approx(best, rel=1e-14)
        assert abs(policy.gradient_sum) < 1e-15


def test_policies_agree_on_probabilities_that_sum_to_1() -> None:
    why = explain(SEED, [0.25, 0.25, 0.5, 0.0])
    assert isinstance(why, SeveralLabels)
    losses = {policy.loss for policy in why.policies}
    assert losses == {float(cross_entropy(SEED, [0.25, 0.25, 0.5, 0.0]))}
    assert why.labels == [0, 1, 2]


@pytest.mark.parametrize(
    ("q", "says"),
    [
        ([0, 1, 1, 0], "and 2 labels: classes 1 and 2."),
        ([0, 0.5, 0.5, 0], "gives 2 of them a share: classes 1 and 2."),
        ([0, 0, 0, 0], "and no label: its target is all zeros."),
        ([0, 0, 2, 0], "gives 1 of them a share: class 2."),
        ([1, 1, 1, 1], "classes 0, 1, 2 and 3."),
    ],
)
def test_the_text_of_several_labels(q: list[float], says: str) -> None:
    why = explain(SEED, q)
    assert isinstance(why, SeveralLabels)
    text = flat(str(why))
    assert says in text
    for policy in why.policies:  # of probabilities, which sum to 1, all give the same
        assert (f'"{policy.name}"' in text) == (sum(q) != 1)
        assert policy.loss is None or f"{policy.loss:.4f}" in text
    json.loads(why.to_json(), parse_constant=pytest.fail)


def test_probabilities_as_target_are_explained_like_a_label() -> None:
    """The terms of the loss, the pushes and the step, as SciPy and differences have them."""
    special = pytest.importorskip("scipy.special")
    q = np.array([0.2, 0.3, 0.5, 0.0])
    why = explain(SEED, q)
    assert isinstance(why, SeveralLabels)
    terms = special.logsumexp(SEED) - SEED
    loss, a = float(q @ terms), special.softmax(SEED)
    np.testing.assert_allclose(why.contributions, q * terms, rtol=1e-13)
    shift = 1e-6 * np.eye(4)
    slopes = [(special.logsumexp(SEED + d) - q @ (SEED + d) - loss) / 1e-6 for d in shift]
    text = str(why)
    pushes = re.findall(r"^ +(\d) +[\d.]+ +[\d.]+ +(\S+)  (\S) ", text, re.MULTILINE)
    assert len(pushes) == 4
    for n, row in enumerate(pushes):
        assert int(row[0]) == n
        assert float(row[1].replace("−", "-")) == pytest.approx(slopes[n], abs=6e-5)
        assert row[2] == ("↑" if a[n] < q[n] else "↓")
    after = SEED - 0.1 * (a - q)
    after_loss = float(special.logsumexp(after) - q @ after)
    assert f"J: {loss:.4f} → {after_loss:.4f}" in text
    assert "the entropy of the target, and not 0" in flat(text)
    assert f"The loss is then {-(q[:3] @ np.log(q[:3])):.4f}" in flat(text)
    assert "> " not in text  # no class is the true one


def test_a_masked_class_with_target_0_adds_nothing() -> None:
    why = explain([1.0, -INF, 0.0], [0.5, 0.0, 0.5])
    assert isinstance(why, SeveralLabels)
    assert why.contributions[1] == 0.0
    assert math.fsum(why.contributions) == pytest.approx(why.as_given.loss, rel=1e-15)


@given(
    st.lists(st.floats(width=64) | st.sampled_from([math.nan, INF, -INF]), min_size=2, max_size=15),
    st.lists(st.sampled_from([0.0, 1.0, 0.5]), min_size=15, max_size=15),
)
@settings(deadline=None)
def test_several_labels_of_any_row_have_a_text(z: list[float], q: list[float]) -> None:
    why = explain(z, q[: len(z)])
    assert all(line == line.rstrip() for line in why.to_text().splitlines())
    json.loads(why.to_json(), parse_constant=pytest.fail)


def test_several_labels_among_many_classes() -> None:
    z = np.random.default_rng(0).normal(size=100_000)
    q = np.zeros(100_000)
    q[[5, 70_000]] = 1
    text = flat(str(explain(z, q, classes=[f"<{n}>" for n in range(100_000)])))
    assert "99988 others" in text
    assert "> 70000 <70000>" in text


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_tensors_of_a_training_loop_are_explained_as_they_are(dtype: str) -> None:
    """With a graph, and in types that NumPy lacks."""
    torch = pytest.importorskip("torch")
    z = torch.tensor([[2.0, 1.0, 0.1], [0.0, 1.0, 2.0]], dtype=getattr(torch, dtype))
    z.requires_grad_()
    y = torch.tensor([2, 1])
    why = explain(z[0] * 1, y[0])
    assert isinstance(why, Explanation)
    ours = explain(z[0].detach().double().numpy(), 2)
    assert isinstance(ours, Explanation)
    assert why.before.loss == ours.before.loss
    mean_loss = explain_set(z.detach().double().numpy(), [2, 1]).mean_loss
    assert explain_set(z * 1, y).mean_loss == pytest.approx(mean_loss, rel=1e-6)
    layer = explain(None, y[0], features=z[0, :2], linear_weight=z.T[:, :2] * 1).layer
    assert layer is not None
    assert z.grad is None


def test_a_matrix_as_target_is_an_error() -> None:
    with pytest.raises(LabelError, match=r"target has shape \(2, 2\)"):
        explain(SEED, np.eye(2))


# --- claims that are not true of every example ---------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "says", "not_this"),
    [
        ([1000.0, 0.0], "Every derivative is 0", "is pushed up"),
        ([0.0, 1.0, -INF], "where a_n is 0, as for an output of −inf,", "a_n is positive"),
        ([-INF, 1.0], "the true output is −inf, and no step moves it", "output is pushed up"),
    ],
)
def test_which_way_outputs_are_pushed(logits: list[float], says: str, not_this: str) -> None:
    text = flat(explain(logits, 0).to_text())
    assert says in text
    assert not_this not in text


def test_a_uniform_guess_leaves_out_masked_classes() -> None:
    why = explain([0.0, 0.3, -INF], 0)
    assert why.choices == 2
    assert why.uniform_loss == math.log(2)
    assert "The loss is above that of a uniform guess, ln 2 = 0.6931." in flat(why.to_text())
    assert explain([0.0, -INF], 1).uniform_loss == math.log(2)  # the true one was to choose, too


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=8), st.integers(0, 7), st.floats(1e-3, 1.0))
@settings(deadline=None)
def test_which_wrong_probabilities_rise(z: list[float], y: int, step: float) -> None:
    """To first order a_n rises where a_n < Σ a² − a_y; the strongest wrong one never rises."""
    y %= len(z)
    why = explain(z, y, step=step, steps=0)
    a, after = why.before.probabilities, why.after.probabilities
    assert set(why.rising) <= {n for n in range(len(z)) if after[n] > a[n]} - {y}
    assert why.strongest_other not in why.rising
    assert z[why.strongest_other] == max(np.delete(z, y))
    small = explain(z, y, step=1e-6, steps=0)
    margin = np.delete(np.arange(len(z)), y)[np.abs(np.delete(a, y) - (a @ a - a[y])) > 1e-4]
    assert [n in small.rising for n in margin] == [bool(a[n] < a @ a - a[y]) for n in margin]
    if why.rising:
        rises = after[why.rising] - a[why.rising]
        assert (np.diff(rises) <= 0).all()
        assert "yet a rises" in flat(str(why))
    else:
        assert "yet a rises" not in flat(str(why))


def test_the_text_says_that_a_path_was_cut_off() -> None:
    text = flat(explain([50.0, 0.0, 3.0], 1, steps=20).to_text())
    assert "after 20 steps, and was not followed any further." in text


@pytest.mark.parametrize(
    ("logits", "says"),
    [
        ([1.0, 2.0, -INF], "The output of class 2, which is in the target, is −inf"),
        ([1.0, 2.0, math.nan], "The row has no softmax"),
    ],
)
def test_the_outcome_where_descent_is_not_possible(logits: list[float], says: str) -> None:
    why = explain(logits, [0, 1, 1])
    assert isinstance(why, SeveralLabels)
    assert says in why.outcome()


def test_errors_count_classes_as_the_caller_does() -> None:
    why = explain([1.0, 2.0, 3.0], [1, 1, 0], first_class=1)
    assert isinstance(why, SeveralLabels)
    assert "has 2 labels (classes 1, 2)" in str(why.policies[0].error)
    with pytest.raises(LabelError, match=r"has -1 for class 2"):
        explain([1.0, 2.0, 3.0], [1, -1, 0], first_class=1)


@pytest.mark.parametrize("step", [10**400, True, "0.1", None, math.nan])
def test_a_step_must_be_a_positive_number(step: Any) -> None:
    with pytest.raises(OptionError, match="step must be a positive number"):
        explain(SEED, 2, step=step)


def test_a_fraction_as_step() -> None:
    assert explain(SEED, 2, step=Fraction(1, 10)).to_dict() == explain(SEED, 2).to_dict()


def test_a_list_as_question_is_an_error() -> None:
    with pytest.raises(OptionError, match="a question is text"):
        explain(SEED, 0).ask(["x"])  # type: ignore[arg-type]


def test_a_set_of_class_names_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"a sequence of names such as .*, got set"):
        explain(SEED, 0, classes={"a", "b", "c", "d"})  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [1.5, None])
def test_top_must_be_a_whole_number(top: Any) -> None:
    with pytest.raises(OptionError, match="top must be a whole number"):
        explain_set([[0.0, 1.0]], [0], top=top)


@pytest.mark.filterwarnings("error")
def test_a_layer_of_huge_features() -> None:
    why = explain(None, 1, features=[1e200, 1.0], linear_weight=np.eye(3, 2))
    assert isinstance(why, Explanation)
    assert "‖x‖² = inf" in flat(why.to_text())
