"""What is compared beside the plain calls of a softmax: its backward, and a mask of outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.planted import softmax_only

from softmaxloss import check
from softmaxloss.checking.calling.extras import backward_of, with_mask
from softmaxloss.checking.calling.forms import Form
from softmaxloss.checking.calling.packed import Way
from softmaxloss.checking.calling.trials import callee_for
from softmaxloss.checking.diagnosis.masks import WRONG, check_mask
from softmaxloss.checking.inputs import Input, option_inputs
from softmaxloss.checking.reference import Results, jacobian_product, masked_softmax

EPSILON = np.finfo(np.float64).eps
INPUTS = {input.name: input for input in option_inputs(0, np.float64, 0)}
MASKED, BACKWARD = INPUTS["mask of outputs"], INPUTS["backward"]


def of_kept(z: Any, mask: Any) -> Any:
    """mask says which outputs count."""
    return softmax_only(np.where(mask, z, -np.inf))


def of_left_out(z: Any, mask: Any) -> Any:
    """mask says which do not."""
    return softmax_only(np.where(mask, -np.inf, z))


def of_added(z: Any, mask: Any) -> Any:
    """mask is added to the logits."""
    return softmax_only(z + mask)


@pytest.mark.parametrize("function", [of_kept, of_left_out, of_added])
def test_a_mask_is_found_in_the_sense_in_which_it_is_right(function: Any) -> None:
    form = Form(("logits", "mask"), returns=("softmax",))
    callee = callee_for(function, Way(function, function), None)
    results, problem = with_mask(form, callee, MASKED)
    assert problem is None
    mask = MASKED.options["mask"]
    z = np.where(mask, MASKED.z, -np.inf)
    np.testing.assert_allclose(results.softmax, np.exp(z) / np.exp(z).sum(1)[:, None], rtol=1e-12)
    report = check(function, seed=1)
    assert report.verdict == "right", str(report)
    assert "mask of outputs" in [one.name for one in report.checks]


def test_the_mask_of_the_inputs() -> None:
    """Some outputs of each row are left out, and some are not."""
    mask = np.asarray(MASKED.options["mask"])
    assert mask.shape == MASKED.z.shape
    assert ((mask.sum(axis=1) > 0) & (mask.sum(axis=1) < mask.shape[1])).all()


def test_right_probabilities_with_a_mask() -> None:
    z, mask = MASKED.z, np.asarray(MASKED.options["mask"])
    for minus_infinity in (-np.inf, -1e9):
        got = softmax_only(np.where(mask, z, minus_infinity))
        compared, finding = check_mask(MASKED, "softmax", Results(softmax=got), None, EPSILON)
        assert compared.right == {"softmax": True}
        assert finding is None
    np.testing.assert_allclose(masked_softmax(z, mask), of_kept(z, mask), rtol=1e-12)


def test_the_log_of_probabilities_with_a_mask() -> None:
    """A small number in place of 0 is as good as −∞; a large one is not."""
    z, mask = MASKED.z, np.asarray(MASKED.options["mask"])
    for small, right in ((1e-13, True), (1e-2, False)):
        a = of_kept(z, mask) + np.where(mask, 0, small)
        got = Results(log_softmax=np.log(a))
        compared, _ = check_mask(MASKED, "log_softmax", got, None, EPSILON)
        assert compared.right == {"log_softmax": right}


@pytest.mark.parametrize("id", WRONG)
def test_a_mistake_with_a_mask_is_named(id: str) -> None:
    z, mask = MASKED.z.astype(np.float64), np.asarray(MASKED.options["mask"])
    got = WRONG[id](z, mask)
    compared, finding = check_mask(MASKED, "softmax", Results(softmax=got), None, EPSILON)
    assert compared.right == {"softmax": False}
    assert finding is not None
    assert [mistake.id for mistake in finding.mistakes] == [id]
    assert finding.wrong_values


def test_an_error_and_other_numbers_with_a_mask() -> None:
    _, finding = check_mask(MASKED, "softmax", Results(), "ValueError: no", EPSILON)
    assert finding is not None
    assert finding.example is not None
    assert finding.example["yours"] == "it raised ValueError: no"
    assert not finding.wrong_values
    other = Results(softmax=np.full(MASKED.z.shape, 0.1))
    _, finding = check_mask(MASKED, "softmax", other, None, EPSILON)
    assert finding is not None
    assert finding.mistakes == ()


def backward(z: Any, upstream: Any) -> Any:
    a = softmax_only(z)
    return a * (upstream - (a * upstream).sum(axis=-1, keepdims=True))


def of_column(z: Any, upstream: Any) -> Any:
    """Of one example, stored as a column; an error for a vector."""
    (classes, one) = z.shape
    assert one == 1
    return backward(z.T, upstream.T).T.reshape(classes, one)


def wanted(input: Input) -> Any:
    return jacobian_product(softmax_only(input.z), input.upstream)


def test_the_backward_of_a_softmax() -> None:
    results, problem = backward_of(Form(("logits",), returns=("softmax",)), backward, BACKWARD)
    assert problem is None
    np.testing.assert_allclose(results.gradient, wanted(BACKWARD), rtol=1e-9, atol=1e-15)


def test_the_backward_of_one_example() -> None:
    """As a vector or as a column, whichever it takes."""
    one = Form(("logits",), layout="one", returns=("softmax",))
    for function in (backward, of_column):
        results, problem = backward_of(one, function, BACKWARD)
        assert problem is None
        np.testing.assert_allclose(results.gradient, wanted(BACKWARD), rtol=1e-9, atol=1e-15)


def test_a_backward_that_raises() -> None:
    def broken(z: Any, upstream: Any) -> Any:
        raise RuntimeError("out of order")

    results, problem = backward_of(Form(("logits",), returns=("softmax",)), broken, BACKWARD)
    assert results.gradient is None
    assert problem is not None
    assert problem.startswith("RuntimeError: out of order")


def test_a_wrong_backward_keeps_its_first_numbers() -> None:
    """Where no sense is right, what was returned is compared."""
    form = Form(("logits",), layout="one", returns=("softmax",))
    results, problem = backward_of(form, lambda z, g: -backward(z.ravel(), g.ravel()), BACKWARD)
    assert problem is None
    assert results.gradient is not None
