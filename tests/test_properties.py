"""Properties of every input, on random ones. Two computations of one number differ by at most twice
the goals of docs/numerics.md."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import truth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from softmaxloss import cross_entropy, cross_entropy_with_grad, score

Array = NDArray[Any]
GOALS = {"float32": 2, "float64": 4}

# The same examples in every run and on every machine.
thoroughly = settings(max_examples=300, derandomize=True, deadline=None, database=None)


@st.composite
def examples(draw: st.DrawFn, on_grid: bool = False) -> tuple[Array, int]:
    """Logits of 1 to 80 classes and a true class; with ties, and spreads from none to hundreds."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    classes = draw(st.integers(1, 80))
    limit = 64 if on_grid else draw(st.sampled_from([1, 30, 300]))
    if on_grid:  # multiples of 1/64, so that adding integers up to 2^17 is exact
        elements: Any = st.integers(-64 * limit, 64 * limit).map(lambda n: n / 64)
    else:
        elements = st.floats(-limit, limit, width=32) | st.sampled_from([0.0, 1.0, -limit])
    z = draw(hnp.arrays(dtype, classes, elements=elements))
    return z, draw(st.integers(0, classes - 1))


def assert_close(got: Any, want: Any, dtype: Any, times: float = 2) -> None:
    error = truth.ulps(got, np.asarray(want, object), dtype)
    assert np.all(error <= times * GOALS[np.dtype(dtype).name]), (got, want)


@thoroughly
@given(examples())
def test_the_gradient_sums_to_zero(example: tuple[Array, int]) -> None:
    """The exact gradient does. Each entry is within its goal of the exact one, in units of at most
    eps times the entry (or the least subnormal): the sum differs by at most the sum of these."""
    z, y = example
    _, grad = cross_entropy_with_grad(z, y)
    info = np.finfo(z.dtype)
    bound = math.fsum(np.maximum(info.eps * np.abs(grad.astype(float)), info.smallest_subnormal))
    assert abs(math.fsum(grad)) <= GOALS[z.dtype.name] * bound


@thoroughly
@given(examples())
def test_signs_and_sizes(example: tuple[Array, int]) -> None:
    """The true logit is pushed up, every other one down, none by more than 1."""
    z, y = example
    loss, grad = cross_entropy_with_grad(z, y)
    assert loss >= 0
    assert -1 <= grad[y] <= 0
    others = np.delete(grad, y)
    assert np.all((others >= 0) & (others <= 1))


@thoroughly
@given(examples())
def test_the_loss_lies_between_its_bounds(example: tuple[Array, int]) -> None:
    """m − z_y ≤ J ≤ m − z_y + log C: the largest term alone, or C of them."""
    z, y = example
    gap = float(z.max()) - float(z[y])
    room = GOALS[z.dtype.name] * np.finfo(z.dtype).eps * (gap + math.log(z.size))
    assert gap - room <= cross_entropy(z, y) <= gap + math.log(z.size) + room


@thoroughly
@given(examples(on_grid=True), st.integers(-(2**17) + 64, 2**17 - 64))
def test_a_common_offset_changes_nothing(example: tuple[Array, int], offset: int) -> None:
    z, y = example
    shifted = z + z.dtype.type(offset)
    assert np.all(shifted.astype(float) - offset == z)  # the addition is exact
    loss, grad = cross_entropy_with_grad(z, y)
    same_loss, same_grad = cross_entropy_with_grad(shifted, y)
    assert_close(same_loss, loss, z.dtype)
    assert_close(same_grad, grad, z.dtype)


@thoroughly
@given(examples(), st.randoms(use_true_random=False))
def test_the_order_of_the_classes_does_not_matter(example: tuple[Array, int], random: Any) -> None:
    z, y = example
    order = list(range(z.size))
    random.shuffle(order)
    loss, grad = cross_entropy_with_grad(z, y)
    same_loss, same_grad = cross_entropy_with_grad(z[order], order.index(y))
    assert_close(same_loss, loss, z.dtype)
    assert_close(same_grad, grad[order], z.dtype)


@thoroughly
@given(examples())
def test_probabilities_are_ordered_as_logits(example: tuple[Array, int]) -> None:
    """Equal logits have equal probabilities. Within rounding, a larger logit never has a smaller
    probability, and it has a larger one where exp of the distance exceeds rounding."""
    z, _ = example
    with_another = np.append(z, z.dtype.type(0))
    a = cross_entropy_with_grad(with_another, z.size)[1][:-1].astype(float)
    order = np.argsort(z, kind="stable")
    z, a = z[order].astype(float), a[order]
    steps = np.diff(z)
    assert np.all(a[1:][steps == 0] == a[:-1][steps == 0])
    info = np.finfo(example[0].dtype)
    room = 2 * GOALS[example[0].dtype.name] * np.maximum(info.eps * a, info.smallest_subnormal)
    assert np.all(a[:-1] <= a[1:] + room[1:])
    visible = np.expm1(np.minimum(steps, 1)) * a[:-1] > 2 * room[1:]
    assert np.all(a[1:][visible] > a[:-1][visible])


@thoroughly
@given(examples(), st.data())
def test_a_masked_class_is_an_absent_class(example: tuple[Array, int], data: st.DataObject) -> None:
    z, y = example
    masked = data.draw(st.lists(st.integers(0, z.size), min_size=1, max_size=80))
    with_masked = np.insert(z, masked, -np.inf)
    kept = np.flatnonzero(with_masked != -np.inf)
    loss, grad = cross_entropy_with_grad(z, y)
    same_loss, same_grad = cross_entropy_with_grad(with_masked, kept[y])
    assert_close(same_loss, loss, z.dtype)
    assert_close(same_grad[kept], grad, z.dtype)
    absent = np.delete(same_grad, kept)
    assert np.all(absent == 0)
    assert not np.any(np.signbit(absent))
    s, same = score(z, y), score(with_masked, kept[y])
    assert same.rank == s.rank
    assert same.predicted == kept[s.predicted]


@thoroughly
@given(examples(), st.data())
def test_another_label_changes_two_entries(example: tuple[Array, int], data: st.DataObject) -> None:
    """∂J/∂z_n = a_n − [n = y]: the bits of the other entries do not depend on y."""
    z, y = example
    other = data.draw(st.integers(0, z.size - 1))
    grads = [cross_entropy_with_grad(z, label)[1] for label in (y, other)]
    assert np.delete(grads[0], [y, other]).tobytes() == np.delete(grads[1], [y, other]).tobytes()


@thoroughly
@given(examples(), st.data())
def test_soft_labels_mix_losses(example: tuple[Array, int], data: st.DataObject) -> None:
    """J(q) = Σ q_n·J(n). All terms are ≥ 0, so nothing cancels on either side."""
    z, _ = example
    shares = data.draw(
        hnp.arrays("float64", z.size, elements=st.floats(0, 1)).filter(lambda q: q.sum() > 0.01)
    )
    q = (shares / shares.sum()).astype(z.dtype)
    losses = cross_entropy(
        np.broadcast_to(z, (z.size, z.size)), np.arange(z.size), reduction="none"
    )
    mixed = math.fsum(q.astype(float) * losses.astype(float))
    got = float(cross_entropy(z, q, multi_label="sum"))
    room = 2 * GOALS[z.dtype.name] * np.finfo(z.dtype).eps * mixed
    assert abs(got - mixed) <= room + 2 * z.size * np.finfo(z.dtype).smallest_subnormal


@thoroughly
@given(examples(), st.integers(1, 40))
def test_the_mean_of_copies_is_one_of_them(example: tuple[Array, int], copies: int) -> None:
    """A sum of equal losses divided by their number: in float64 within a rounding of each."""
    z, y = example
    mean = cross_entropy(np.broadcast_to(z, (copies, z.size)), np.full(copies, y))
    one = cross_entropy(z, y)
    rounding = copies * np.finfo(float).eps * one + np.finfo(z.dtype).eps * one / 2
    assert abs(float(mean) - float(one)) <= rounding
