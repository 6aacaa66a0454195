"""The public functions beyond the cases of test_semantics.py: shapes against PyTorch, half types,
large batches, upstream gradients, out= and its overlaps, scores, long rows."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special
import truth
from numpy.typing import NDArray

import softmaxloss
from softmaxloss import LabelError, OptionError, cross_entropy, cross_entropy_with_grad, score

Array = NDArray[Any]
HALF = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


# --- shapes and types -------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(4, 5), (3, 7, 2), (2, 3, 4, 5), (2, 5, 1, 3, 2)])
@pytest.mark.parametrize("soft", [False, True])
def test_shapes_as_in_pytorch(
    shape: tuple[int, ...], smoothing: float, reduction: Any, soft: bool
) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z = rng.normal(0, 3, shape)
    lead = shape[:1] + shape[2:]
    y: Array = rng.integers(shape[1], size=lead)
    if soft:
        y = np.moveaxis(rng.dirichlet(np.ones(shape[1]), lead), -1, 1)
    weight = rng.uniform(0.5, 2, shape[1])
    upstream = rng.normal(size=lead if reduction == "none" else ())
    theirs = torch.tensor(z, requires_grad=True)
    want = torch.nn.functional.cross_entropy(
        theirs,
        torch.tensor(y),
        weight=torch.tensor(weight),
        label_smoothing=smoothing,
        reduction=reduction,
    )
    want.backward(torch.tensor(upstream))
    options: dict[str, Any] = {
        "weight": weight,
        "label_smoothing": smoothing,
        "reduction": reduction,
    }
    loss, grad = cross_entropy_with_grad(z, y, **options, grad_output=upstream)
    # Logits within ±12, weights below 2, |upstream| below 4 and at most 60 examples: PyTorch's
    # rounding is a few eps of 12 for each loss, and 60 times that for a sum.
    rows = 1 if reduction != "sum" else math.prod(lead)
    tolerance = 4 * np.finfo(float).eps * 12 * 2 * rows
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(grad, theirs.grad.numpy(), rtol=0, atol=4 * tolerance)


@pytest.mark.parametrize(
    ("dtype", "of_loss", "of_grad"),
    [
        ("float64", "float64", "float64"),
        ("float32", "float32", "float32"),
        ("float16", "float32", "float16"),
        ("int64", "float64", "float64"),
        ("longdouble", "float64", "longdouble"),
    ],
)
def test_dtypes_of_the_results(dtype: str, of_loss: str, of_grad: str) -> None:
    loss, grad = cross_entropy_with_grad(np.array([1, 2, 3], dtype), 0)
    assert isinstance(loss, np.generic)
    assert (loss.dtype, grad.dtype) == (of_loss, of_grad)
    losses = cross_entropy(np.array([[1, 2, 3]], dtype), [0], reduction="none")
    assert (losses.shape, losses.dtype) == ((1,), of_loss)


@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize("scale", [1, 5, 20])
def test_half_types(name: str, smoothing: float, classes: int, scale: int) -> None:
    """Computed in float32, rounded once: half a unit of the half type, and 2 of float32's. With
    smoothing, those 2 are of a_n + c_n, whose difference the entry is."""
    rng = np.random.default_rng([classes, scale])
    z = (rng.normal(0, scale, (5, classes))).astype(HALF[name])
    y = rng.integers(classes, size=5)
    want = truth.cross_entropy(z, y, label_smoothing=smoothing, reduction="none")
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": "none"}
    loss, grad = cross_entropy_with_grad(z, y, **options)
    assert loss.dtype == np.float32
    assert grad.dtype == HALF[name]
    assert truth.ulps(loss, want.loss, "float32").max() <= 2
    if smoothing:
        c = np.full(z.shape, smoothing / classes)
        c[np.arange(5), y] += 1 - smoothing
        unit = np.spacing(np.abs(want.grad.astype("f4")).astype(HALF[name])).astype("f8")
        room = 0.5 * unit + 2 * np.spacing(np.float32(2 * c + np.abs(want.grad).astype("f8")))
        assert (np.abs(grad.astype("f8") - want.grad) <= room).all()
    else:
        assert truth.ulps(grad, want.grad, HALF[name]).max() <= 0.501
    out = z.copy()
    assert cross_entropy_with_grad(out, y, **options, out=out)[1].tobytes() == grad.tobytes()


def test_integers_beyond_2_to_53_are_rounded() -> None:
    z = np.array([2**53 + 1, 2**53 + 2, 0])
    assert cross_entropy(z, 0) == cross_entropy(z.astype(np.float64), 0)


@pytest.mark.parametrize("shape", [(2000, 8000), (8, 2000, 1000)])
def test_memory_is_bounded_for_any_layout(shape: tuple[int, ...]) -> None:
    """64 MB of logits in an order that may need copies: those take a few MB at a time."""
    z = np.zeros(shape[::-1], np.float32).T
    y = np.zeros(shape[:1] + shape[2:], np.uint8)
    tracemalloc.start()
    loss = cross_entropy(z, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loss == np.float32(math.log(shape[1]))
    assert peak < 16 << 20


# --- reductions -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_over_many_examples(dtype: str) -> None:
    """300,000 losses, added in float64: they are rounded once more, not 300,000 times."""
    rng = np.random.default_rng(2)
    z = rng.normal(0, 1, (300_000, 3)).astype(dtype)
    y = rng.integers(3, size=300_000)
    losses = cross_entropy(z, y, reduction="none")
    exact = math.fsum(losses)
    # NumPy adds pairwise: 18 levels and blocks of 128, at half a unit each, in float64.
    room = 32 * np.spacing(exact) + (np.spacing(np.float32(exact)) / 2 if dtype == "float32" else 0)
    assert abs(float(cross_entropy(z, y, reduction="sum")) - exact) <= room
    assert abs(float(cross_entropy(z, y)) * 300_000 - exact) <= 2 * room


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 2)])
def test_a_loss_beyond_float32_is_infinite(shape: tuple[int, ...], reduction: Any) -> None:
    z = np.broadcast_to(np.float32([-3e38, 3e38]), shape)
    loss = cross_entropy(z, np.zeros(shape[:-1], int), reduction=reduction)
    assert np.all(loss == np.inf)
    assert loss.dtype == np.float32


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (1, 7, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_example_has_the_same_bits_for_any_reduction(
    dtype: str, shape: tuple[int, ...], reduction: Any
) -> None:
    z = np.random.default_rng(14).normal(0, 3, 7).astype(dtype)
    loss = cross_entropy(z, 3)
    lead_shape = shape[:1] + shape[2:] if len(shape) > 1 else ()
    same = cross_entropy(z.reshape(shape), np.full(lead_shape, 3), reduction=reduction)
    assert (same.tobytes(), same.dtype) == (loss.tobytes(), loss.dtype)
    assert np.shape(same) == (lead_shape if reduction == "none" else ())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_denominator_divides_before_the_loss_is_rounded_to_float32(dtype: str) -> None:
    z = np.random.default_rng(14).normal(0, 3, 7).astype(dtype)
    wide = float(truth.cross_entropy(z, 3).loss)
    third = cross_entropy(z, 3, denominator=3)
    assert truth.ulps(third, np.array(wide / 3, object), dtype) <= (
        0.5001 if dtype == "float32" else 4
    )


def test_micro_batches_add_up() -> None:
    """With the denominator of the whole batch, the means of its parts add up to its mean."""
    rng = np.random.default_rng(3)
    z, y = rng.normal(0, 3, (30, 4)), rng.integers(4, size=30)
    y[::7] = -100
    weight = np.array([0.5, 1.0, 2.0, 4.0])
    total = weight[y[y >= 0]].sum()
    loss, grad = cross_entropy_with_grad(z, y, weight=weight)
    parts = [
        cross_entropy_with_grad(z[i : i + 10], y[i : i + 10], weight=weight, denominator=total)
        for i in (0, 10, 20)
    ]
    assert sum(part[0] for part in parts) == pytest.approx(loss, rel=1e-15)  # 3 roundings
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), grad)


# --- upstream gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    "factor", [1e-300, 1e-45, 1e-30, -1e-10, 3.7, 65536.0, 1e15, -1e25, 1e30, 1e100]
)
def test_factors_of_any_size(factor: float, smoothing: float, dtype: str) -> None:
    """From loss scaling by 2^16 and beyond down to subnormal gradients."""
    z = np.array([[60, 0, -3, -20, -35, 55], [1, 2, 3, 4, 5, 6]], dtype)
    _, grad = cross_entropy_with_grad(z, [0, 3], grad_output=factor, label_smoothing=smoothing)
    want = truth.cross_entropy(z, [0, 3], grad_output=factor, label_smoothing=smoothing)
    error = truth.ulps(grad, want.grad, dtype, of=want.size if smoothing else None)
    assert error.max() <= {"float32": 2, "float64": 4}[dtype]


@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_a_gradient_beyond_the_dtype_gives_no_warning(factor: float) -> None:
    """Also where NumPy does the rounding, of logits in another byte order."""
    z = np.array([[0.5, 2.0, -1.0]], np.float16)
    with np.errstate(all="raise"):
        _, want = cross_entropy_with_grad(z, [0], grad_output=factor)
        _, grad = cross_entropy_with_grad(z.astype(">f2"), [0], grad_output=factor)
    assert np.array_equal(grad, want)
    assert np.array_equal(np.abs(want), [[np.inf if factor > 1 else 0] * 3])


@pytest.mark.parametrize(
    ("grad_output", "reduction", "fits"),
    [
        ([1.0, 2.0], "mean", "with reduction='mean' it must be one number"),
        ([1.0, 2.0], "none", "with reduction='none' it must be one number or shape (3,)"),
        (
            [[1.0], [2.0], [3.0]],
            "none",
            "with reduction='none' it must be one number or shape (3,)",
        ),
    ],
)
def test_an_upstream_gradient_of_another_shape(grad_output: Any, reduction: Any, fits: str) -> None:
    with pytest.raises(OptionError) as caught:
        cross_entropy_with_grad(
            np.zeros((3, 2)), [0] * 3, reduction=reduction, grad_output=grad_output
        )
    assert str(caught.value) == f"grad_output has shape {np.shape(grad_output)}; {fits}"


def test_the_default_upstream_gradient_is_1() -> None:
    assert cross_entropy_with_grad([0.0, 0.0], 0, grad_output=None)[1].tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("grad_output", ["1", [1.0, None, 2.0], 1j])
def test_an_upstream_gradient_must_be_numbers(grad_output: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        cross_entropy_with_grad(
            np.zeros((3, 2)), [0] * 3, reduction="none", grad_output=grad_output
        )
    assert "grad_output" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- out= -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "out",
    [np.full((2, 3), np.nan), np.full((3, 2), np.nan).T, np.full((2, 6), np.nan)[:, ::2]],
    ids=["contiguous", "transposed", "strided"],
)
def test_out_is_filled_and_returned(out: Array) -> None:
    z, y = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]]), [0, 2]
    want_loss, want = cross_entropy_with_grad(z, y)
    loss, grad = cross_entropy_with_grad(z, y, out=out)
    assert grad is out
    assert loss == want_loss
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (
            np.empty((2, 3), np.float32),
            OptionError,
            "out has shape (2, 3) and dtype float32; the gradient needs shape (2, 3) and dtype "
            "float64",
        ),
        (
            np.empty((3, 2)),
            OptionError,
            "out has shape (3, 2) and dtype float64; the gradient needs shape (2, 3) and dtype "
            "float64",
        ),
        (
            np.empty((2, 3), ">f8"),
            OptionError,
            "out has shape (2, 3) and dtype >f8; the gradient needs shape (2, 3) and dtype float64",
        ),
        (
            np.broadcast_to(np.zeros(3), (2, 3)),
            OptionError,
            "out is read-only; the gradient is written to it",
        ),
        ([[0.0] * 3] * 2, TypeError, "out must be a NumPy array, got list"),
    ],
)
def test_an_out_that_does_not_fit(out: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        cross_entropy_with_grad(np.zeros((2, 3)), [0, 1], out=out)
    assert str(caught.value) == message


def overlapping(memory: Array) -> dict[str, Array]:
    """Views of shape (5, 4) of different parts of the same 60 numbers."""
    return {
        "at the start": memory[:20].reshape(5, 4),
        "one number on": memory[1:21].reshape(5, 4),
        "one row on": memory[4:24].reshape(5, 4),
        "half a row back and wider": memory[2:42].reshape(5, 8)[:, :4],
        "transposed": memory[:20].reshape(4, 5).T,
        "backwards": memory[:20][::-1].reshape(5, 4),
        "rows backwards": memory[:20].reshape(5, 4)[::-1],
        "every other number": memory[:40:2].reshape(5, 4),
        "apart": memory[40:].reshape(5, 4),
    }


VIEWS = list(overlapping(np.zeros(60)))


@pytest.mark.parametrize("out", VIEWS)
@pytest.mark.parametrize("logits", VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_out_may_overlap_the_logits(dtype: str, logits: str, out: str) -> None:
    memory = np.random.default_rng(4).normal(0, 3, 60).astype(dtype)
    views = overlapping(memory)
    y = [0, 3, 1, 2, 3]
    want = cross_entropy_with_grad(views[logits].copy(), y, reduction="none")
    got = cross_entropy_with_grad(views[logits], y, reduction="none", out=views[out])
    assert got[0].tobytes() == want[0].tobytes()
    np.testing.assert_array_equal(views[out], want[1])


@pytest.mark.parametrize("out", VIEWS)
@pytest.mark.parametrize("target", VIEWS)
def test_out_may_overlap_the_probabilities(target: str, out: str) -> None:
    memory = np.random.default_rng(5).uniform(0, 1, 60)
    views = overlapping(memory)
    z = np.random.default_rng(6).normal(0, 3, (5, 4))
    options: dict[str, Any] = {"multi_label": "sum", "reduction": "none"}
    want = cross_entropy_with_grad(z, views[target].copy(), **options)
    got = cross_entropy_with_grad(z, views[target], **options, out=views[out])
    assert got[0].tobytes() == want[0].tobytes()
    np.testing.assert_array_equal(views[out], want[1])


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("of", ["logits", "target", "weight", "sample_weight"])
@pytest.mark.parametrize(
    "view",
    [np.s_[:], np.s_[::-1], np.s_[:, ::-1], np.s_[:, 2:]],
    ids=["all", "rows backwards", "classes backwards", "two classes on"],
)
def test_out_may_be_an_argument(view: Any, of: str, swapped: bool) -> None:
    """`out` is a view of the array that is passed as an argument, or the reverse."""
    rng = np.random.default_rng(12)
    arguments = {
        "logits": rng.normal(0, 3, (4, 6)),
        "target": rng.dirichlet(np.ones(6), 4),
        "weight": rng.uniform(0, 2, 6),
        "sample_weight": rng.uniform(0, 2, 4),
    }
    weights = "weight" in of
    memory = rng.uniform(0, 1, (4, 6)) if weights else arguments[of]
    given, out = memory, memory[view]
    if out.shape != (4, 6):  # out begins two columns on, in memory that is wider
        memory = np.pad(memory, [(0, 0), (0, 2)])
        given, out = memory[:, :-2], memory[view]
    if swapped:
        given, out = out, given
    arguments[of] = given[1, : arguments[of].size] if weights else given
    options: dict[str, Any] = {"reduction": "none", "multi_label": "sum"}
    kept = {name: value.copy() for name, value in arguments.items()}
    want = cross_entropy_with_grad(**kept, **options)
    got = cross_entropy_with_grad(**arguments, **options, out=out)
    assert got[0].tobytes() == want[0].tobytes()
    np.testing.assert_array_equal(out, want[1])


@pytest.mark.parametrize("shift", [0, 1, 3, 6, 7])
def test_out_may_overlap_logits_with_more_axes(shift: int) -> None:
    memory = np.random.default_rng(13).normal(0, 3, 40)
    z, out = memory[:30].reshape(2, 5, 3), memory[shift : shift + 30].reshape(2, 5, 3)
    y = [[0, 4, 2], [1, 1, 3]]
    want = cross_entropy_with_grad(z.copy(), y, reduction="none")
    got = cross_entropy_with_grad(z, y, reduction="none", out=out)
    assert got[0].tobytes() == want[0].tobytes()
    np.testing.assert_array_equal(out, want[1])


@pytest.mark.parametrize("as_view", [False, True])
def test_in_place_takes_no_copy(as_view: bool) -> None:
    z = np.zeros((4096, 1024), np.float32)
    tracemalloc.start()
    cross_entropy_with_grad(z, np.zeros(4096, np.uint8), out=z[:] if as_view else z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < z.nbytes / 16


def test_a_wrong_target_is_the_same_error_with_out() -> None:
    with pytest.raises(LabelError, match=r"^target is not one rectangular array"):
        cross_entropy_with_grad(np.zeros((2, 3)), [[1, 0, 0], [1]], out=np.empty((2, 3)))


@pytest.mark.parametrize("what", ["labels", "weight", "grad_output"])
def test_out_may_overlap_labels_weights_and_upstream_gradients(what: str) -> None:
    memory = np.random.default_rng(7).uniform(0, 1, 60)
    labels = np.array([0, 3, 1, 2, 3])
    arguments: dict[str, Any] = {"weight": memory[3:7], "grad_output": memory[2:7]}
    if what == "labels":
        labels = memory.view(np.int64)[8:13]
        labels[:] = [0, 3, 1, 2, 3]
    arguments = {what: arguments[what]} if what in arguments else {}
    z = np.random.default_rng(8).normal(0, 3, (5, 4))
    kept = {name: value.copy() for name, value in arguments.items()}
    want = cross_entropy_with_grad(z, labels.copy(), reduction="none", **kept)
    out = memory[:20].reshape(5, 4)
    got = cross_entropy_with_grad(z, labels, reduction="none", **arguments, out=out)
    assert got[0].tobytes() == want[0].tobytes()
    np.testing.assert_array_equal(out, want[1])


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 2, 10, 64, 65, 129, 500])
@pytest.mark.parametrize("scale", [1, 10, 200])
def test_scores(dtype: str, classes: int, scale: float) -> None:
    rng = np.random.default_rng([classes, scale])
    rows = 6 if classes < 100 else 3
    z = rng.normal(0, scale, (rows, classes)).astype(dtype)
    z[rng.random(z.shape) < 0.1] = -np.inf
    z[:, 0] = rng.normal(0, scale, rows)
    y = rng.integers(classes, size=rows)
    s = score(z, y)
    allowed = {"float32": 2.0, "float64": 4.0}[dtype]
    for i in range(rows):
        finite = z[i][np.isfinite(z[i])]
        with truth.mp.workdps(50 + int(min(np.ptp(finite), truth.WIDEST) / 2)):
            powers = [truth.mp.exp(truth.mp.mpf(float(value))) for value in z[i]]
            total = truth.mp.fsum(powers)
            a = [power / total for power in powers]
            entropy = truth.mp.fsum(-p * truth.mp.log(p) for p in a if p)
            logsumexp = truth.mp.log(total)
            loss = -truth.mp.log(a[y[i]]) if a[y[i]] else truth.mp.inf
        assert truth.ulps(s.loss[i], loss, dtype) <= allowed
        assert truth.ulps(s.probability[i], a[y[i]], dtype) <= allowed
        assert truth.ulps(s.entropy[i], entropy, dtype) <= allowed
        # m + log1p(S) may cancel: the error is that of the larger part.
        size = max(abs(logsumexp), abs(float(z[i].max())))
        assert truth.ulps(s.logsumexp[i], logsumexp, dtype, of=size) <= 2
    np.testing.assert_array_equal(s.predicted, z.argmax(axis=1))
    true = z[np.arange(rows), y]
    np.testing.assert_array_equal(s.rank, 1 + (z > true[:, None]).sum(axis=1))
    np.testing.assert_array_equal(s.loss, cross_entropy(z, y, reduction="none"))


def test_scores_as_scipy() -> None:
    rng = np.random.default_rng(9)
    z, y = rng.normal(0, 3, (50, 12)), rng.integers(12, size=50)
    s, a = score(z, y), scipy.special.softmax(z, axis=1)
    rows = np.arange(50)
    # SciPy's own rounding: some eps of values up to 20.
    np.testing.assert_allclose(s.probability, a[rows, y], rtol=1e-14)
    np.testing.assert_allclose(s.entropy, scipy.special.entr(a).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(s.logsumexp, scipy.special.logsumexp(z, axis=1), rtol=1e-14)
    np.testing.assert_allclose(s.loss, -scipy.special.log_softmax(z, axis=1)[rows, y], rtol=1e-13)


def test_scores_of_ties() -> None:
    """The first of several largest logits is predicted; ties do not lower a rank."""
    s = score([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0], [5.0, 1.0, 1.0, 0.0]], [3, 2, 2])
    assert s.predicted.tolist() == [1, 0, 0]
    assert s.rank.tolist() == [1, 1, 2]
    assert s.entropy[1] == math.log(4)
    long = np.zeros(1000)
    long[[400, 700]] = 2.0
    assert score(long, 700).predicted == 400


def test_scores_of_rows_without_a_softmax() -> None:
    z = np.zeros((6, 200))
    z[0, 150] = np.nan
    z[1, 3] = np.inf
    z[2] = -np.inf
    z[4, :] = np.nan
    y = np.array([0, 1, 2, 3, -100, -100])
    for first in (0, 1):
        s = score(z, np.where(y < 0, y, y + first), first_class=first)
        for numbers in (s.loss[:3], s.probability[:3], s.entropy[:3], s.logsumexp[:3]):
            assert np.isnan(numbers).all()
        assert s.predicted.tolist() == [first - 1] * 3 + [first] + [first - 1] * 2
        assert s.rank.tolist() == [0, 0, 0, 1, 0, 0]
        assert s.loss[3:].tolist() == [pytest.approx(math.log(200), rel=4e-16), 0.0, 0.0]
        assert not np.any([s.probability[4:], s.entropy[4:], s.logsumexp[4:]])
        # A mean of any product of scores over the rows that count is not poisoned by the others.
        assert (s.loss[3:] * s.probability[3:]).sum() == s.loss[3] * s.probability[3]


def test_scores_of_a_masked_true_class() -> None:
    s = score([0.0, -np.inf, 1.0], 1)
    assert (s.loss, s.probability, s.rank, s.predicted) == (np.inf, 0.0, 3, 2)


def test_shapes_and_types_of_scores() -> None:
    z = np.random.default_rng(10).normal(size=(2, 5, 3, 4))
    y = np.random.default_rng(11).integers(5, size=(2, 3, 4))
    s = score(z, y)
    rows = score(np.moveaxis(z, 1, -1).reshape(-1, 5), y.reshape(-1))
    for got, want in zip(s, rows, strict=True):
        assert got.shape == (2, 3, 4)
        assert got.tobytes() == want.tobytes()
    one = score(z[0, :, 0, 0].astype(np.float32), y[0, 0, 0])
    assert [np.asarray(value).dtype.name for value in one] == [
        *("float32", "float32", "int64", "int64", "float32", "float32")
    ]
    assert all(np.ndim(value) == 0 for value in one)
    half = score(z[0, :, 0, 0].astype(np.float16), y[0, 0, 0])
    assert half.loss.dtype == np.float32
    empty = score(np.empty((0, 5)), np.empty(0, int))
    assert all(value.shape == (0,) for value in empty)


SCORED: dict[str, dict[str, Any]] = {
    "weights": {"weight": [1.0, 2.0, 0.0, 0.5]},
    "sample weights": {"sample_weight": [1.0, 0.0, 3.0, 0.5, 1.0]},
    "smoothing": {"label_smoothing": 0.2},
    "everything": {
        "weight": [1, 2, 0, 1],
        "sample_weight": [1, 0, 3, 1, 1],
        "label_smoothing": 0.1,
    },
}


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("form", ["indices", "one-based", "one-hot", "probabilities"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_with_options(name: str, form: str, dtype: Any) -> None:
    """The loss is that of each example, the others are those of the (largest) true class."""
    options = SCORED[name]
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(5, 4)).astype(dtype), np.array([0, 1, -100, 3, 2])
    if form in ("one-hot", "probabilities"):
        y[2] = 1
    plain = score(z, y)
    target: Any = np.eye(4)[y] if form in ("one-hot", "probabilities") else y
    if form == "probabilities":
        target = 0.6 * target + 0.1
    elif form == "one-based":
        target, options = np.where(y < 0, y, y + 1), {**options, "first_class": 1}
    got = score(z, target, **options)
    want = softmaxloss.cross_entropy(z, target, **options, reduction="none")
    assert np.array_equal(got.loss, want)
    counts = np.array(options.get("sample_weight", np.ones(5))) > 0
    for field in ("probability", "rank", "entropy", "logsumexp", "predicted"):
        wanted = getattr(plain, field) + (field == "predicted" and form == "one-based")
        assert np.array_equal(getattr(got, field)[counts], wanted[counts]), field
        nothing = (form == "one-based") - 1 if field == "predicted" else 0
        assert (getattr(got, field)[~counts] == nothing).all(), field


def test_scores_with_several_labels() -> None:
    z, q = [[0.0, 1.0, 2.0]], [[1, 0, 1]]
    with pytest.raises(LabelError, match="has 2 labels"):
        score(z, q)
    got = score(z, q, multi_label="mean")
    assert got.loss == softmaxloss.cross_entropy(z, q, multi_label="mean")
    assert (got.rank, got.probability) == (3, score(z, [0]).probability)
    with pytest.raises(LabelError, match=r"is 4, outside 0\.\.2"):
        score(z, [4], label_smoothing=0.1)
    with pytest.raises(OptionError, match="label_smoothing"):
        score(z, [0], label_smoothing=2.0)


@pytest.mark.parametrize("index", [2**63, -(2**63) - 1, 10**30])
def test_an_ignore_index_beyond_int64(index: int) -> None:
    z = [[1.0, 2.0]]
    assert score(z, [0], ignore_index=index).loss == softmaxloss.cross_entropy(z, [0])


@pytest.mark.parametrize("classes", [3, 200])
@pytest.mark.parametrize("factor", [-1.0, -2.7, -1e-40, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_masked_class_has_gradient_plus_zero_for_any_upstream_gradient(
    dtype: str, factor: float, classes: int
) -> None:
    z = np.zeros((33, classes), dtype)
    z[:, 1] = -np.inf
    for options in ({}, {"label_smoothing": 0.0, "weight": np.ones(classes)}):
        with np.errstate(over="ignore"):
            grad = cross_entropy_with_grad(
                z, np.zeros(33, int), reduction="none", grad_output=factor, **options
            )[1]
        assert (grad[:, 1] == 0).all()
        assert not np.signbit(grad[:, 1]).any()


def test_the_layout_of_a_target_changes_no_bit() -> None:
    """Sums run in the order of classes and rows, not of memory."""
    rng = np.random.default_rng(14)
    z, q = rng.normal(size=(200, 50)), rng.random((200, 50))
    several = {"multi_label": "mean", "reduction": "none"}
    want = cross_entropy(z, q, **several)
    assert np.array_equal(cross_entropy(z, np.asfortranarray(q), **several), want)
    z, y = rng.normal(size=(60, 7, 50)), rng.integers(7, size=(60, 50))
    weight = rng.random(7)
    want = cross_entropy(z, y, weight=weight)
    assert cross_entropy(z, np.asfortranarray(y), weight=weight) == want


# --- every 16-bit number, and rows longer than a chunk ------------------------------------------


@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("classes", [2, 200])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_half_number(name: str, classes: int, smoothing: float) -> None:
    """All 65536 numbers as logits, and gradients of every size: computed as in float32, and the
    gradient rounded once, to the nearest, as NumPy rounds."""
    z = np.full((1 << 16, classes), -np.inf).astype(HALF[name])
    z[:, 0] = np.arange(1 << 16, dtype=np.uint16).view(HALF[name])
    z[:, 1] = 0
    y = np.arange(1 << 16) % 2
    upstream = 10.0 ** np.random.default_rng(12).uniform(-45, 6, 1 << 16)
    options: dict[str, Any] = {"reduction": "none", "label_smoothing": smoothing}
    loss, grad = cross_entropy_with_grad(z, y, **options, grad_output=upstream)
    wide_loss, wide = cross_entropy_with_grad(
        z.astype(np.float32), y, **options, grad_output=upstream
    )
    assert loss.tobytes() == wide_loss.tobytes()
    with np.errstate(over="ignore"):
        want = wide.astype(HALF[name])
    defined = ~np.isnan(wide)
    assert grad[defined].tobytes() == want[defined].tobytes()
    assert np.isnan(grad[~defined].astype(np.float32)).all()
    assert score(z, y).loss.tobytes() == score(z.astype(np.float32), y).loss.tobytes()


CHUNK = 1 << 17
LONG = 3 * CHUNK + 500
IN_SECOND, IN_THIRD = CHUNK + 7_000, 2 * CHUNK + 4_000


def long_rows() -> dict[str, tuple[Array, int]]:
    """Rows of several chunks, whose sums are combined; few distinct values, so that the exact sums
    are short."""
    rng = np.random.default_rng(13)
    plain = np.round(rng.normal(0, 2, LONG) * 8) / 8
    first, second, third, last = (slice(i * CHUNK, (i + 1) * CHUNK) for i in range(4))

    def changed(*changes: tuple[Any, float]) -> Array:
        z = plain.copy()
        for place, change in changes:
            z[place] += change
        return z

    return {
        "plain": (plain, IN_SECOND),
        "rising": (changed((second, 20), (third, 40), (last, 60)), LONG - 1),
        "falling": (changed((second, -20), (third, -40), (last, -60)), 0),
        "falling far": (changed((second, -90), (third, -103), (last, -700), (9, 12)), 9),
        "the true class far below": (changed((second, 300)), 7),
        "one peak": (changed((IN_THIRD, 60)), IN_THIRD),
        "one high peak": (changed((IN_THIRD, 760)), IN_THIRD),
        "a peak in each": (changed(([5, IN_SECOND, IN_THIRD, LONG - 1], 50)), IN_THIRD),
        "all equal": (np.full(LONG, 1.25), 99),
        "the first masked": (changed((first, -np.inf)), IN_SECOND),
        "the last masked": (changed((last, -np.inf)), IN_SECOND),
        "all but the second masked": (
            changed((first, -np.inf), (third, -np.inf), (last, -np.inf)),
            IN_SECOND,
        ),
        "masked true class": (changed((IN_SECOND, -np.inf)), IN_SECOND),
        "far from 0": (plain + 1e5, 3),
        "far from 0, each elsewhere": (changed((first, 7e4), (second, -1e5), (last, 70_010)), 3),
        "across the edge of far": (changed((first, 65_530), (second, 65_540), (third, 65_520)), 3),
        "very far, equal chunks": (np.round(plain) * 8 + 2.0**26, 3),
    }


@pytest.mark.parametrize("name", long_rows())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_longer_than_a_chunk(dtype: str, name: str) -> None:
    z, y = long_rows()[name]
    z = z.astype(dtype)
    loss, grad = cross_entropy_with_grad(z, y)
    s = score(z, y)
    values, where, counts = np.unique(z, return_inverse=True, return_counts=True)
    finite = values[np.isfinite(values)]
    mp = truth.mp
    with mp.workdps(50 + int(min(np.ptp(finite), truth.WIDEST) / 2)):
        powers = [mp.exp(mp.mpf(float(value))) for value in values]
        total = mp.fsum(int(n) * power for n, power in zip(counts, powers, strict=True))
        a = np.array([power / total for power in powers], object)
        a_y = a[where[y]]
        want_loss = -mp.log(a_y) if a_y else mp.inf
        true_entry = a_y - 1
        entropy = mp.fsum(-int(n) * p * mp.log(p) for n, p in zip(counts, a, strict=True) if p)
        logsumexp = mp.log(total)
    goal = {"float32": 2, "float64": 4}[dtype]
    assert truth.ulps(loss, want_loss, dtype) <= goal
    assert truth.ulps(grad[y], true_entry, dtype) <= goal
    # Equal logits have equal entries: one of each is compared, none that of the true class.
    others = np.arange(LONG) != y
    entries = np.full(values.size, np.nan, dtype)
    entries[where[others]] = grad[others]
    assert np.all(grad[others] == entries[where[others]])
    seen = ~np.isnan(entries)
    assert truth.ulps(entries[seen], a[seen], dtype).max() <= goal
    assert s.loss == loss
    assert truth.ulps(s.probability, a_y, dtype) <= goal
    assert truth.ulps(s.entropy, entropy, dtype) <= goal
    size = max(abs(logsumexp), abs(float(values[-1])))
    assert truth.ulps(s.logsumexp, logsumexp, dtype, of=size) <= 2
    assert s.predicted == z.argmax()
    assert s.rank == 1 + np.count_nonzero(z > z[y])


@pytest.mark.parametrize("other", [0.0, -np.inf, 1e5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, 2 * CHUNK + 100, LONG - 1])
def test_long_rows_without_a_softmax(place: int, bad: float, dtype: str, other: float) -> None:
    z = np.full(LONG, other, dtype)
    z[place] = bad
    loss, grad = cross_entropy_with_grad(z, 5)
    assert np.isnan(loss)
    assert np.isnan(grad).all()
    assert score(z, 5).rank == 0


def test_a_long_row_that_is_masked_everywhere() -> None:
    assert np.isnan(cross_entropy(np.full(LONG, -np.inf), 5))


def test_a_buffer_that_shares_memory_with_out_is_read_before_it_is_written() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    y = np.array([0, 1, 2, 3, 0])
    want_loss, want_grad = softmaxloss.cross_entropy_with_grad(z, y)
    logits = z.copy()
    loss, grad = softmaxloss.cross_entropy_with_grad(memoryview(logits), y, out=logits[::-1])
    assert loss == want_loss
    np.testing.assert_array_equal(grad, want_grad)


def test_a_broadcast_row_and_an_out_in_another_order() -> None:
    z = np.broadcast_to(np.arange(5.0), (3, 5))
    want = softmaxloss.cross_entropy_with_grad(z.copy(), [0, 1, 2])[1]
    grad = softmaxloss.cross_entropy_with_grad(z, [0, 1, 2], out=np.empty((3, 5), order="F"))[1]
    np.testing.assert_array_equal(grad, want)


def test_out_needs_memory_of_its_own() -> None:
    shared = np.lib.stride_tricks.as_strided(np.zeros(4), (5, 4), (0, 8))
    with pytest.raises(softmaxloss.OptionError, match="share memory"):
        softmaxloss.cross_entropy_with_grad(np.zeros((5, 4)), [0, 1, 2, 3, 0], out=shared)


def test_losses_are_added_before_they_are_rounded_to_float32() -> None:
    z = np.float32([[3e38, -3e38], [0, 0]])
    # J = 6e38 and log 2; the first alone is beyond float32
    assert softmaxloss.cross_entropy(z, [1, 0], denominator=10) == pytest.approx(6e37, rel=1e-6)
    weights = np.full(2, 1e-46)
    mean = softmaxloss.cross_entropy(np.float32([[1, 2]]), [0], weight=weights)
    assert mean == pytest.approx(np.log1p(np.e), rel=2**-23)


def test_float64_probabilities_of_float32_logits_keep_their_digits() -> None:
    z, q = np.float32([[5, -np.inf, 0]]), [[1, 1e-300, 0]]
    assert softmaxloss.cross_entropy(z, q) == np.inf


def test_masked_weights_are_refused() -> None:
    weight = np.ma.array([1.0, 1.0], mask=[0, 1])
    with pytest.raises(TypeError, match="weight is a masked array"):
        softmaxloss.cross_entropy([[1.0, 2.0]], [0], weight=weight)
