"""Numbers that do not lie at multiples of their size, as in packed records and buffers of files.

C++ may not read them where they lie: a processor may stop, and a compiler assumes that there are
none. The binding refuses them, so a call works only if the engine copies them first.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import softmaxloss
from softmaxloss.kernels import cpu

Array = NDArray[Any]

DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16]
LABELS = ["i2", "i4", "i8", "u2", "u8"]
ROWS, CLASSES = 20, 30


def shifted(x: Array) -> Array:
    """The same numbers, one byte after a multiple of their size."""
    y = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    assert y.__array_interface__["data"][0] % x.itemsize == 1
    return y


def bits(*results: Any) -> list[bytes]:
    return [np.asarray(result).tobytes() for result in results]


def example(dtype: Any, soft: bool) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    labels = rng.integers(CLASSES, size=ROWS)
    q = rng.dirichlet(np.ones(CLASSES), ROWS).astype("f8" if dtype == "float64" else "f4")
    return {
        "logits": rng.normal(0, 3, (ROWS, CLASSES)).astype(dtype),
        "target": q if soft else labels,
        "weight": rng.uniform(0, 2, CLASSES),
        "sample_weight": rng.uniform(0, 2, ROWS),
        "grad_output": rng.normal(size=ROWS),
        "out": np.empty((ROWS, CLASSES), dtype),
    }


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_array_of_a_call(dtype: Any, soft: bool) -> None:
    call: dict[str, Any] = {"reduction": "none", "multi_label": "sum"}
    want = softmaxloss.cross_entropy_with_grad(**example(dtype, soft), **call)
    names = list(example(dtype, soft))
    for moved in [*([name] for name in names), names]:
        given = example(dtype, soft)
        given.update({name: shifted(given[name]) for name in moved})
        got = softmaxloss.cross_entropy_with_grad(**given, **call)
        assert got[1] is given["out"]
        assert bits(*got) == bits(*want), moved
        for name in given.keys() - {"out"}:
            assert bits(given[name]) == bits(example(dtype, soft)[name]), "as it was"
    given = example(dtype, soft)
    logits = shifted(given.pop("logits"))
    got = softmaxloss.cross_entropy_with_grad(logits, **{**given, "out": logits}, **call)
    assert bits(*got) == bits(*want), "over the logits"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_other_functions(dtype: Any) -> None:
    given = example(dtype, False)
    z, y, _ = given["logits"], given["target"], given.pop("out")
    images = np.ascontiguousarray(z.reshape(2, 10, CLASSES).transpose(0, 2, 1))
    assert bits(*softmaxloss.score(shifted(z), y)) == bits(*softmaxloss.score(z, y))
    for function in (softmaxloss.softmax, softmaxloss.log_softmax, softmaxloss.logsumexp):
        assert bits(function(shifted(z))) == bits(function(z))
    for options in ({}, {"z_loss": 0.1, "softcap": 5.0}, {"reduction": "sum"}):
        places = y.reshape(2, 10)
        want = softmaxloss.cross_entropy(images, places, **options)
        assert bits(softmaxloss.cross_entropy(shifted(images), places, **options)) == bits(want)
    assert bits(softmaxloss.cross_entropy(shifted(z[0]), 2)) == bits(
        softmaxloss.cross_entropy(z[0], 2)
    )


@pytest.mark.parametrize("dtype", LABELS)
def test_labels(dtype: str) -> None:
    z, y = example("float32", False)["logits"], np.arange(ROWS).astype(dtype)
    for call in (softmaxloss.cross_entropy, softmaxloss.score):
        assert bits(*np.atleast_1d(call(z, shifted(y)))) == bits(*np.atleast_1d(call(z, y)))


def test_a_linear_loss() -> None:
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(ROWS, 7)).astype("f4"), rng.normal(size=(CLASSES, 7)).astype("f4")
    y, b = rng.integers(CLASSES, size=ROWS), rng.normal(size=CLASSES).astype("f4")
    want = softmaxloss.linear_cross_entropy(x, w, y, linear_bias=b)
    got = softmaxloss.linear_cross_entropy(
        shifted(x), shifted(w), shifted(y), linear_bias=shifted(b)
    )
    np.testing.assert_allclose(got, want, rtol=1e-6)  # BLAS may add in another order


def test_the_binding_refuses_what_is_not_copied() -> None:
    """So that no test above passes for want of a copy."""
    given = example("float64", False)
    z, loss = given["logits"][:, :, None], np.empty(ROWS)
    options = softmaxloss.options.Options()
    for logits, y in ((shifted(z), given["target"]), (z, shifted(given["target"]))):
        with pytest.raises(TypeError, match="aligned"):
            cpu._cpu.cross_entropy(logits, y, None, None, options, -100, 1.0, loss, None, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_tensors(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    from softmaxloss.torch import cross_entropy, score

    kind = getattr(torch, dtype)

    def moved(t: Any) -> Any:
        numbers = t.contiguous().view(torch.uint8).numpy().tobytes()
        memory = bytearray(b"." + numbers)
        made = torch.frombuffer(memory, dtype=t.dtype, offset=1).view(t.shape)
        assert made.data_ptr() % t.element_size() == 1
        return made

    z = torch.randn(ROWS, CLASSES, dtype=kind)
    y, w = torch.arange(ROWS), torch.rand(CLASSES, dtype=torch.float64)
    q = torch.softmax(torch.randn(ROWS, CLASSES), 1)
    for target in (y, q):
        for others in ({}, {"weight": w}, {"sample_weight": w[:ROWS]}, {"z_loss": 0.1}):
            leaf, same = moved(z).requires_grad_(), z.clone().requires_grad_()
            apart = {n: moved(v) if isinstance(v, torch.Tensor) else v for n, v in others.items()}
            got = cross_entropy(leaf, moved(target), **apart)
            want = cross_entropy(same, target, **others)
            assert torch.equal(got, want), others
            got.backward()
            want.backward()
            assert torch.equal(leaf.grad, same.grad), others
    for a, b in zip(score(moved(z), moved(y)), score(z, y), strict=True):
        assert torch.equal(a, b)
