"""What every input gets: the cases of cases/semantics.json on every kernel, loss and gradient.

Each case is compared with `truth`, and where it says so with explicit values, with another call
that must give the same bits, or with an error message. A second test compares with PyTorch.
"""

from __future__ import annotations

import itertools
import json
import math
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from tests import truth

import softmaxloss
from softmaxloss import kernels
from softmaxloss.kernels import cpu

Array = NDArray[Any]
Case = dict[str, Any]

KERNELS = ["reference", *(f"cpu {level}" for level in cpu.levels())]


def expanded(case: Case) -> Iterator[Case]:
    """A case for each element of the fields that may be lists of alternatives."""
    fields = [("target_dtype",), ("logits_dtype",), ("layout",), ("target_layout",)]
    fields += [("options", name) for name in ("reduction", "denominator", "label_smoothing")]
    choices = []
    for *path, last in fields:
        holder = case.get(path[0], {}) if path else case
        if isinstance(holder.get(last), list):
            choices.append([(path, last, value) for value in holder[last]])
    for chosen in itertools.product(*choices):
        one = {**case, "options": dict(case.get("options", {}))}
        for path, last, value in chosen:
            (one[path[0]] if path else one)[last] = value
            one["name"] += f", {last} {value}"
        yield one


def load() -> list[Case]:
    text = (Path(__file__).parent / "cases" / "semantics.json").read_text(encoding="utf-8")
    return [one for case in json.loads(text) for one in expanded(case)]


CASES = load()


def label(case: Case) -> str:
    return f"{case['row'][:40]}: {case['name']}".encode("ascii", "replace").decode()


def is_valid(case: Case) -> bool:
    return "error" not in case.get("expect", {})


def in_each_dtype(cases: list[Case]) -> list[Any]:
    """(case, dtype) for every dtype that a case is about."""
    return [
        pytest.param(case, dtype, id=f"{label(case)}-{dtype}")
        for case in cases
        for dtype in case.get("dtypes", ["float64", "float32"])
    ]


def build(spec: Any, dtype: str) -> Any:
    """The array that a spec means: nested lists, or a shape, what fills it, and what differs."""
    if dtype == "as is":
        return spec
    if dtype in ("str", "object"):
        return np.array(spec, dtype=object if dtype == "object" else None)
    if dtype == "masked":
        return np.ma.masked_greater(spec, 1.0)
    if dtype == "bfloat16":
        return build(spec, "float64").astype(ml_dtypes.bfloat16)
    if isinstance(spec, dict):
        array = np.full(spec["shape"], float(spec["fill"])).astype(dtype)
        for *index, value in spec.get("at", []):
            array[tuple(index)] = float(value)
        return array
    integers = np.dtype(dtype).kind in "iu"
    return np.array(spec, dtype=dtype if integers else None).astype(dtype)


def arranged(array: Array, layout: str) -> Array:
    """The same numbers, laid out in memory in another way."""
    match layout:
        case "contiguous":
            return array
        case "strided classes":
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "strided rows":
            return np.repeat(array, 3, axis=0)[::3]
        case "padded rows":
            return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(1, 2)])[..., 1:-2]
        case "transposed":
            return np.ascontiguousarray(array.swapaxes(0, -1)).swapaxes(0, -1)
        case "reversed":
            return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
        case "reversed rows":
            return np.ascontiguousarray(array[::-1])[::-1]
        case "read-only":
            copy = array.copy()
            copy.setflags(write=False)
            return copy
        case "misaligned":
            data = np.zeros(array.nbytes + 1, np.uint8)
            view = data[1:].view(array.dtype).reshape(array.shape)
            view[...] = array
            return view
        case "Fortran order":
            return np.asfortranarray(array)
        case "byte-swapped":
            return array.astype(array.dtype.newbyteorder())
        case "broadcast":
            return np.broadcast_to(array[:1], array.shape)
        case "broadcast classes":
            return np.broadcast_to(array[:, :1], array.shape)
    raise ValueError(layout)


def arguments(case: Case, dtype: str) -> tuple[Any, Any, dict[str, Any]]:
    logits = build(case["logits"], case.get("logits_dtype", dtype))
    if case.get("python_target"):
        target = case["target"]
    else:
        flat = str(case["target"])
        floats = "." in flat or isinstance(case["target"], dict)
        target = build(case["target"], case.get("target_dtype", dtype if floats else "int64"))
    if "layout" in case:
        logits = arranged(logits, case["layout"])
    if "target_layout" in case:
        target = arranged(target, case["target_layout"])
    options = dict(case.get("options", {}))
    if "weight" in options:
        options["weight"] = np.array([float(w) for w in options["weight"]]).tolist()
        if all(isinstance(w, int) for w in case["options"]["weight"]):
            options["weight"] = case["options"]["weight"]
    for name, value in options.items():
        if value in ("nan", "inf"):
            options[name] = float(value)
    return logits, target, options


def run(case: Case, dtype: str) -> tuple[Any, Array]:
    logits, target, options = arguments(case, dtype)
    return softmaxloss.cross_entropy_with_grad(
        logits, target, **options, grad_output=case.get("grad_output")
    )


def computed_dtype(logits: Array) -> np.dtype[Any]:
    narrow = logits.dtype.kind not in "iu" and logits.itemsize <= 4
    return np.dtype("float32" if narrow else "float64")


def is_half(logits: Array) -> bool:
    return logits.dtype.kind not in "iu" and logits.itemsize == 2


def allowed_ulps(kernel: str, dtype: str, case: Case) -> float:
    """The goals of docs/numerics.md, and what the float64 formula rounds before it takes exp."""
    if dtype == "float32":
        return 2.0
    if kernel != "reference":
        return 4.0
    # z_n − m is rounded by up to half a unit of it, |z_n − m|·2^-53, which exp makes relative:
    # |z_n − m| units in the last place. Where that is above 745, exp is 0.
    logits = np.asarray(build(case["logits"], case.get("logits_dtype", dtype)), float)
    finite = logits[np.isfinite(logits)]
    spread = float(finite.max()) - float(finite.min()) if finite.size else 0.0
    return 4.0 + min(spread, 745.0)


@pytest.fixture
def on_kernel(kernel: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if kernel == "reference":
        monkeypatch.setitem(kernels.KERNELS, "cpu", ("softmaxloss.kernels.reference",))
        yield
        return
    before = cpu.level()
    cpu.use_level(kernel.removeprefix("cpu "))
    yield
    cpu.use_level(before)


@pytest.mark.usefixtures("on_kernel")
@pytest.mark.parametrize("gradient", [False, True], ids=["loss", "gradient"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("case", "dtype"), in_each_dtype(CASES))
def test_case(case: Case, kernel: str, dtype: str, gradient: bool) -> None:
    if not is_valid(case):
        check_error(case, dtype, gradient)
    elif gradient:
        check_gradient(case, kernel, dtype)
    else:
        check_loss(case, kernel, dtype)


def check_loss(case: Case, kernel: str, dtype: str) -> None:
    logits, target, options = arguments(case, dtype)
    loss = softmaxloss.cross_entropy(logits, target, **options)
    want = truth.cross_entropy(logits, target, **options).loss
    assert np.asarray(loss).dtype == computed_dtype(logits)
    assert np.all(truth.ulps(loss, want, dtype) <= allowed_ulps(kernel, dtype, case)), (loss, want)
    assert not np.any(np.signbit(loss)), "a loss is never negative, nor −0.0"
    expect = case.get("expect", {})
    if "loss" in expect:
        expected = np.asarray(expect["loss"], float)
        error = truth.ulps(loss, expected.astype(dtype).astype(object), dtype)
        assert np.all(error <= allowed_ulps(kernel, dtype, case)), (loss, expected)
    for other in other_calls(case, kernel):
        same, _ = run(other, dtype)
        assert_same(loss, taken(same, other), other, dtype)


def check_gradient(case: Case, kernel: str, dtype: str) -> None:
    logits, target, options = arguments(case, dtype)
    given = np.array(logits, copy=True)
    loss, grad = run(case, dtype)
    np.testing.assert_array_equal(logits, given)  # the caller's array is as it was
    alone = softmaxloss.cross_entropy(logits, target, **options)
    assert np.asarray(loss).tobytes() == np.asarray(alone).tobytes()
    assert grad.shape == logits.shape
    assert grad.dtype == (logits.dtype if is_half(logits) else computed_dtype(logits))
    upstream = case.get("grad_output", 1.0)
    _, want, size = truth.cross_entropy(logits, target, **options, grad_output=upstream)
    # With one class that counts, each entry is held to its own last place. With several, an entry
    # is the difference (Σc)·a_n − c_n, whose parts are rounded before they cancel.
    several = np.shape(target) == logits.shape or options.get("label_smoothing")
    error = truth.ulps(grad, want, grad.dtype, of=size if several else None)
    # A half type rounds the float32 gradient, whose 2 units are 2^-12 of its own or less.
    allowed = 0.501 if is_half(logits) else allowed_ulps(kernel, dtype, case)
    assert np.all(error <= allowed), (grad, want, error)
    if "grad_output" not in case:
        masked = (np.asarray(logits, float) == -np.inf) & (grad == 0)
        assert not np.any(np.signbit(grad[masked])), "a masked class has gradient +0.0"
    expect = case.get("expect", {})
    if "grad" in expect:
        np.testing.assert_array_equal(grad, np.asarray(expect["grad"], float))
    if "grad_shape" in expect:
        assert grad.shape == tuple(expect["grad_shape"])
    for *index, value in expect.get("grad_at", []):
        np.testing.assert_array_equal(grad[tuple(index)], float(value))
    for other in other_calls(case, kernel):
        if not other.get("loss_only"):
            _, same = run(other, dtype)
            assert_same(grad, taken(same, other), other, dtype)


def other_calls(case: Case, kernel: str) -> list[Case]:
    if "same_as" not in case:
        return []
    other = {**case, **case["same_as"]}
    return [other] if kernel.split()[0] in other.get("kernels", [kernel.split()[0]]) else []


def taken(result: Any, other: Case) -> Any:
    return result[other["take"]] if "take" in other else result


def assert_same(got: Any, same: Any, other: Case, dtype: str) -> None:
    if "within_ulps" in other:
        error = truth.ulps(got, np.asarray(same, object), dtype)
        assert np.all(error <= other["within_ulps"])
    else:
        assert np.asarray(got).tobytes() == np.asarray(same).tobytes()


def check_error(case: Case, dtype: str, gradient: bool) -> None:
    expect = case["expect"]
    kinds = {
        "LabelError": softmaxloss.LabelError,
        "OptionError": softmaxloss.OptionError,
        "TypeError": TypeError,
        "ValueError": ValueError,
    }
    logits, target, options = arguments(case, dtype)
    out = np.full(np.shape(logits), 7.0, dtype) if isinstance(logits, np.ndarray) else None
    call: Any = softmaxloss.cross_entropy
    if gradient:
        call, options = softmaxloss.cross_entropy_with_grad, {**options, "out": out}
    with pytest.raises(kinds[expect["error"]]) as caught:
        call(logits, target, **options)
    message = str(caught.value)
    assert expect["message"] in message
    assert "\n" not in message
    assert expect.get("not_message", "\n") not in message
    assert out is None or np.all(out == 7.0), "nothing is written before an error"


@pytest.mark.parametrize(
    ("case", "dtype"),
    in_each_dtype([case for case in CASES if is_valid(case) and "torch" not in case]),
)
def test_as_torch(case: Case, dtype: str) -> None:
    """The same number as PyTorch wherever it gives that meaning a right one."""
    torch = pytest.importorskip("torch")
    logits, target, options = arguments(case, dtype)
    z = torch.tensor(np.array(logits, dtype, order="C"), requires_grad=True)
    y = np.array(target, order="C")
    by_index = y.ndim < z.ndim
    y = torch.tensor(y.astype(np.int64) if by_index else y.astype(dtype))
    theirs = {name: value for name, value in options.items() if name != "multi_label"}
    if "weight" in theirs:
        theirs["weight"] = torch.tensor(theirs["weight"], dtype=z.dtype)
    want = torch.nn.functional.cross_entropy(z, y, **theirs)
    upstream = torch.tensor(case.get("grad_output", 1.0), dtype=z.dtype)
    want.backward(upstream.expand_as(want))
    loss, grad = run(case, dtype)
    tolerance = torch_error(np.asarray(logits, float), options, case, dtype)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=0, atol=tolerance)
    np.testing.assert_allclose(grad, z.grad.numpy(), rtol=0, atol=tolerance)


def torch_error(logits: Array, options: dict[str, Any], case: Case, dtype: str) -> float:
    """How far PyTorch's own rounding may be off.

    Its log-softmax z_n − m − log Σ exp has rounding errors of eps times the size of these terms,
    the spread of the logits and log C; the gradient is exp of it, with values below 1. Each is then
    weighted, multiplied by what comes from upstream, and at worst summed over the examples.
    """
    finite = logits[np.isfinite(logits)]
    classes = logits.shape[min(1, logits.ndim - 1)]
    spread = np.ptp(finite) if finite.size else 0.0
    size = 2.0 + spread + math.log(max(classes, 1))
    scale = max(options.get("weight", [1.0])) * np.max(np.abs(case.get("grad_output", 1.0)))
    examples = max(1, logits.size // max(classes, 1))
    return float(4 * np.finfo(dtype).eps * size * scale * examples)


def test_every_row_of_the_docs_has_a_case() -> None:
    text = (Path(__file__).parent.parent / "docs" / "semantics.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()]
    rows = {
        cell
        for line, cell in zip(text.splitlines(), cells, strict=True)
        if line.startswith("| ") and cell not in ("input", "option")
    }
    assert rows - {case["row"] for case in CASES} == {"more than 2³¹ numbers"}  # below
    assert {case["row"] for case in CASES} <= rows


def test_every_case_says_why() -> None:
    for case in CASES:
        assert len(case["why"].split()) > 3, case["name"]
    labels = [label(case) for case in CASES]
    assert len(set(labels)) == len(labels)


# --- more than 2^31 elements ------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs memory that is not reserved")


def zeros_without_memory(elements: int) -> NDArray[np.float32]:
    """float32 zeros that take memory only where they are written to."""
    no_reserve = 0x4000  # MAP_NORESERVE on Linux
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    return np.frombuffer(mmap.mmap(-1, 4 * elements, flags=flags), np.float32)


@linux
def test_more_than_2_to_31_classes() -> None:
    """Indices, counts of ties and the label are beyond 32 bits: C equal logits cost log C."""
    classes = 2**31 + 77
    logits = zeros_without_memory(classes)
    assert softmaxloss.cross_entropy(logits, classes - 1) == np.float32(math.log(classes))


@linux
def test_more_than_2_to_31_elements_between_rows() -> None:
    """Offsets in memory beyond 32 bits, of logits, of probabilities and of the gradient."""
    rows, stride, classes = 4, 2**30 + 3, 70
    shape = (rows, stride)
    values = np.random.default_rng(5).normal(size=(rows, classes)).astype(np.float32)
    logits, target, out = (
        zeros_without_memory(rows * stride).reshape(shape)[:, :classes] for _ in range(3)
    )
    logits[...] = values
    target[...] = np.eye(classes)[[0, 5, 69, 7]]
    want = softmaxloss.cross_entropy_with_grad(values, [0, 5, 69, 7], reduction="none")
    got = softmaxloss.cross_entropy_with_grad(logits, target, reduction="none", out=out)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(out, want[1])


def test_more_than_2_to_31_elements_in_all() -> None:
    """A count of elements beyond 32 bits: one row of memory, read as many."""
    rows, classes = 2**16 + 1, 2**15
    row = np.zeros(classes, np.float32)
    logits = np.broadcast_to(row, (rows, classes))
    labels = np.zeros(rows, np.uint8)
    losses = softmaxloss.cross_entropy(logits, labels, reduction="none")
    assert losses.shape == (rows,)
    assert np.all(losses == np.float32(math.log(classes)))
