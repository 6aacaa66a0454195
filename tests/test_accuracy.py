"""The goals of docs/numerics.md hold, on a sample of what benchmarks/accuracy.py measures, for the
kernel in use and for the one that needs NumPy only."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import truth
from benchmarks import accuracy

import softmaxloss
from softmaxloss import kernels

SAMPLE = 10
mp = truth.mp


def with_reference(z: Any, target: Any, **options: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kernels.KERNELS, kernels.HOST, ("softmaxloss.kernels.reference",))
        return accuracy.ours(z, target, **options)


#: Both are compared with one truth, whose 50 digits take long.
KERNELS = {"here": accuracy.ours, "reference": with_reference}


@pytest.mark.parametrize("family", [name for name in accuracy.FAMILIES if "131072" not in name])
@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
def test_goals(dtype: str, family: str) -> None:
    for kernel, found in accuracy.errors(KERNELS, family, dtype, SAMPLE).items():
        assert max(found) <= accuracy.GOALS[dtype], (kernel, found)


@pytest.mark.parametrize("family", ["C = 131072", "C = 131072, two nearly tied"])
@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
def test_goals_for_a_vocabulary(dtype: str, family: str) -> None:
    """128k classes, of which the reference computes each distinct logit once."""
    found = accuracy.errors({"here": accuracy.ours}, family, dtype, 1)["here"]
    assert max(found) <= accuracy.GOALS[dtype], found


@pytest.mark.parametrize("target", accuracy.TARGETS)
@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
def test_goals_with_options(dtype: str, target: str) -> None:
    """Label smoothing, weights and soft targets."""
    for family in (name for name in accuracy.MIXED if name not in accuracy.LONG):
        found = accuracy.mixed_errors(KERNELS, target, family, dtype, SAMPLE // 2)
        assert max(found["here"]) <= accuracy.GOALS[dtype], (family, found)
        # There a float64 coefficient is rounded several times.
        allowed = {"float32": 2, "float64": 5}[dtype]
        assert found["reference"].loss <= accuracy.GOALS[dtype], (family, found)
        assert found["reference"].entries <= allowed, (family, found)


@pytest.mark.parametrize("target", accuracy.TARGETS)
@pytest.mark.parametrize("dtype", accuracy.HALF_TYPES.values())
def test_goals_of_half_types(dtype: Any, target: str) -> None:
    """The loss is a float32; an entry is rounded once."""
    for family in (name for name in accuracy.MIXED if name not in accuracy.LONG):
        found = accuracy.mixed_errors({"here": accuracy.ours}, target, family, dtype, 3)["here"]
        assert found.loss <= accuracy.GOALS["float32"], (family, found)
        assert found.entries <= accuracy.HALF_GOAL, (family, found)


@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
@pytest.mark.parametrize("masked", [100, 1 << 17], ids=["some", "a chunk"])
def test_soft_targets_beside_masked_classes(dtype: str, masked: int) -> None:
    """Many equal terms, for which a plain sum drifts, beside logits of −inf that do not count."""
    classes = 50_001
    z = np.full(masked + classes, 3, dtype)
    z[:masked], z[-1] = -np.inf, 40
    q = np.zeros(z.size, dtype)
    q[masked:] = 1 / classes
    each, others = truth.exact(q[-1]), classes - 1
    log_sum = mp.log1p(others * mp.exp(mp.mpf(3 - 40)))
    want = others * each * (40 - 3 + log_sum) + each * log_sum
    assert truth.ulps(softmaxloss.cross_entropy(z, q), want, dtype) <= accuracy.GOALS[dtype]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
def test_smoothing_over_several_chunks(dtype: str, weighted: bool) -> None:
    """A long row is summed in chunks of 131072 classes, each in the frame of its own maximum. Few
    distinct logits, which the reference counts."""
    rng = np.random.default_rng(22)
    classes, step = (1 << 18) + 333, (1 << 18) // 64
    z = rng.integers(-64, 64, classes).astype(dtype) / 16
    z[5], z[200_000] = 9.5, 11.25  # so that the frames differ
    weight = np.where(np.arange(classes) // step % 2, 0.25, 1.5)
    kinds, counts = np.unique(np.stack([z, weight]), axis=1, return_counts=True)
    w = kinds[1] if weighted else np.ones(counts.size)
    log_sum = mp.log(
        sum(int(n) * mp.exp(truth.exact(x)) for n, x in zip(counts, kinds[0], strict=True))
    )
    each = [log_sum - truth.exact(x) for x in kinds[0]]
    smoothing, y = truth.exact(0.1), 200_001
    of_all = sum(int(n) * truth.exact(v) * loss for n, v, loss in zip(counts, w, each, strict=True))
    own = truth.exact(weight[y] if weighted else 1.0) * (log_sum - truth.exact(z[y]))
    want = (1 - smoothing) * own + smoothing / classes * of_all
    got = softmaxloss.cross_entropy(
        z, y, label_smoothing=0.1, weight=weight if weighted else None, reduction="sum"
    )
    assert truth.ulps(got, want, dtype) <= accuracy.GOALS[dtype]


@pytest.mark.parametrize("dtype", list(accuracy.GOALS))
def test_probability_and_smoothing_after_a_long_sum(dtype: str) -> None:
    z, y = next(accuracy.examples("C = 131072, two nearly tied", dtype, 1))
    _, grad, _ = truth.example(z, truth.coefficients(y, z.size))
    a_y = grad[y] + 1
    assert truth.ulps(softmaxloss.score(z, y).probability, a_y, dtype) <= accuracy.GOALS[dtype]
    smoothed = softmaxloss.cross_entropy_with_grad(z, y, label_smoothing=0.1)[1][0]
    want = grad[0] - truth.mp.mpf(0.1) / z.size
    assert truth.ulps(smoothed, want, dtype) <= accuracy.GOALS[dtype]


def test_the_measure_sees_errors() -> None:
    """The same measurement finds the digits that NumPy loses, so it would find them here."""
    libraries = {"NumPy": accuracy.with_numpy}
    with np.errstate(all="ignore"):
        sure = accuracy.errors(libraries, "sure and right: one logit 10–60 above", "float32", 3)
        far = accuracy.errors(libraries, "offset ±1e4", "float32", 3)
    assert sure["NumPy"].loss > 1000
    assert sure["NumPy"].true_entry > 1000
    assert far["NumPy"].loss > 100


@pytest.mark.parametrize(
    ("got", "want", "ulps"),
    [
        (1.0, mp.mpf(1), 0),
        (1 + np.float32(3 * 2.0**-24), mp.mpf(1), 2),  # 1 + 1.5 units is rounded to 1 + 2
        (1.0, mp.mpf(1) + mp.ldexp(3, -25), 0.75),
        (2.0, 2 - mp.ldexp(1, -24), 0.5),  # below a power of two the unit is the smaller one
        (0.0, mp.ldexp(1, -149), 1),
        (0.0, mp.ldexp(1, -151), 0.25),
        (0.0, mp.ldexp(1, -1000), 0),
        (-1.0, mp.mpf(1), 2**24),
        (np.inf, mp.ldexp(1, 128), 0),
        (np.inf, mp.ldexp(1, 127), np.inf),
        (1e38, mp.inf, np.inf),
        (np.nan, mp.nan, 0),
        (np.nan, mp.mpf(1), np.inf),
        (1.0, mp.nan, np.inf),
        (-np.inf, mp.inf, np.inf),
        (np.inf, mp.inf, 0),
    ],
)
def test_units_in_the_last_place(got: float, want: Any, ulps: float) -> None:
    """The measure itself, on numbers that can be checked by hand."""
    assert truth.ulps(np.float32(got), want, "float32") == pytest.approx(ulps, abs=1e-9)


def cells(table: str, name: str) -> list[float]:
    """Our numbers in one line of a table."""
    found = re.search(rf"^\| {re.escape(name)} \| ([^|]*) \|", table, re.MULTILINE)
    assert found, name
    return [float(cell) for cell in found[1].split(" / ")]


def test_the_docs_have_the_tables() -> None:
    """docs/numerics.md states the goals, and every number in its tables meets them."""
    text = accuracy.NUMERICS.read_text(encoding="utf-8")
    section = text.split(accuracy.MARKERS[0])[1].split(accuracy.MARKERS[1])[0]
    for dtype, goal in accuracy.GOALS.items():
        assert f"| {dtype} | ≤ {goal:g} ulp |" in text
        table, mixed = [part.split("\n\n")[0] for part in section.split(f"| {dtype} |")[1:]]
        assert table.startswith(" softmaxloss |")
        assert mixed.startswith(" softmaxloss | PyTorch |")
        for family in accuracy.FAMILIES:
            assert max(cells(table, family)) <= goal
        for target, family in itertools.product(accuracy.TARGETS, accuracy.MIXED):
            assert max(cells(mixed, f"{target}; {family}")) <= goal
    halves = section.split("| float16, bfloat16 |")[1]
    for dtype, target in itertools.product(accuracy.HALF_TYPES, accuracy.TARGETS):
        loss, entries = cells(halves, f"{dtype}; {target}")
        assert loss <= accuracy.GOALS["float32"]
        assert entries <= accuracy.HALF_GOAL
