"""The cases of truth/semantics.json with the classes split over ranks, against one process."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.semantics import ERRORS, label, run
from truth.cases import arguments

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this PyTorch has no torch.distributed", allow_module_level=True)

import torch.distributed as dist  # noqa: E402
from tests.ranks import SPLITS, on_ranks, part, sizes, together  # noqa: E402
from tests.test_torch_semantics import as_tensor, cases  # noqa: E402

from softmaxloss.parallel import cross_entropy, score  # noqa: E402
from softmaxloss.torch import formula  # noqa: E402
from softmaxloss.torch import score as score_of_all  # noqa: E402

pytestmark = together

GOOD = [one.values for one in cases(errors=False)]
# Too long a weight, or a scalar as logits, has no slices.
BAD = [
    one.values
    for one in cases(errors=True)
    if one.values[0]["name"] not in ("of another length", "a scalar as logits")
]
#: How many ranks, and how they split the classes: one rank, of which all splits are the same, and
#: three in each run.
GROUPS = [
    pytest.param(ranks, split, marks=pytest.mark.slow if ranks in (2, 4) else ())
    for ranks in (1, 2, 3, 4)
    for split in (SPLITS if ranks > 1 else SPLITS[:1])
]
of_each_group = pytest.mark.parametrize(("ranks", "split"), GROUPS)
#: Units in the last place between the split and the whole: of a loss, of a gradient's entry.
MOST = dict.fromkeys((torch.float64, torch.float32, torch.float16, torch.bfloat16), (1, 2))
#: Of a score in float64, where the entropy of the whole is itself up to 2 off.
MOST_OF_SCORES = {torch.float64: 3}
#: The error of these names what only one rank has.
OF_A_SLICE = ("weight[", "class 1", "no classes", "2 labels", "class indices of", "last axis")


def sliced(case: Any, dtype: str, each: list[int], rank: int) -> tuple[Any, Any, dict[str, Any]]:
    logits, target, options = arguments(case, dtype)
    z, y = as_tensor(logits), as_tensor(target)
    if y.ndim == z.ndim:
        y = part(y, each, rank)
    if np.ndim(options.get("weight")):
        options = {**options, "weight": part(np.array(options["weight"]), each, rank)}
    return part(z, each, rank).detach(), y, options


def has_case(ranks: int, split: str, number: int) -> bool:
    """Three ranks have each case in one split, from one to the next in another: each call waits for
    all ranks. The slow numbers of ranks have each in all splits."""
    return ranks != 3 or SPLITS[number % len(SPLITS)] == split


def classes_of(case: Any, dtype: str) -> int:
    shape = np.shape(arguments(case, dtype)[0])
    return int(shape[min(1, len(shape) - 1)])


def compute(rank: int, ranks: int) -> dict[Any, Any]:
    """The loss, the gradient and the scores of each case, of this rank's classes; or its error."""
    results = {}
    for split in SPLITS if ranks > 1 else SPLITS[:1]:
        for number, (case, dtype) in enumerate(GOOD + BAD):
            if not has_case(ranks, split, number):
                continue
            each = sizes(split, classes_of(case, dtype), ranks)
            z, y, options = sliced(case, dtype, each, rank)
            z.requires_grad_(z.is_floating_point())
            try:
                loss = cross_entropy(z, y, class_group=dist.group.WORLD, **options)
                grad = None
                if z.requires_grad:
                    upstream = torch.as_tensor(case.get("grad_output", 1.0), dtype=loss.dtype)
                    loss.backward(upstream.expand(loss.shape))
                    grad = z.grad
                scored = {n: v for n, v in options.items() if n not in ("reduction", "denominator")}
                scores = score(z.detach(), y, class_group=dist.group.WORLD, **scored)
                results[split, number] = loss.detach(), grad, tuple(scores)
            except (ValueError, TypeError) as error:
                results[split, number] = error
    return results


@cache
def results_of(ranks: int) -> list[dict[Any, Any]]:
    """What each rank computed; all ranks start once."""
    return on_ranks(ranks, compute, ranks)


def units(got: Any, want: Any, size: Any = None) -> float:
    """The largest difference in units in the last place: of `want`, or of `size`."""
    if got.numel() == 0:
        return 0.0
    of = want if size is None else size.to(want.dtype)
    of = of.abs()
    finite = torch.where(of.isfinite(), of, torch.ones_like(of))
    info = torch.finfo(want.dtype)
    _, exponent = torch.frexp(torch.clamp(finite.double(), min=info.tiny))
    unit = torch.ldexp(torch.full(of.shape, info.eps, dtype=torch.float64), exponent - 1)
    a, b = got.double(), want.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return float(torch.where(same, 0.0, (a - b).abs() / unit).nan_to_num(math.inf).max())


def sizes_of_entries(case: Any, dtype: str) -> Any:
    """(Σc)·a_n + c_n, times the factor of the row: a gradient's entry is the difference of both."""
    logits, target, options = arguments(case, dtype)
    z, q = as_tensor(logits).double(), as_tensor(target)
    if z.ndim > 2:
        z, q = z.movedim(1, -1), q.movedim(1, -1) if q.ndim == z.ndim else q
    if q.ndim == z.ndim:
        q = q.double()
        q = q / q.sum(-1, keepdim=True) if options.get("multi_label") == "mean" else q
    else:
        ignored = q.long() == options.get("ignore_index", -100)
        q = (q.long() - options.get("first_class", 0)).masked_fill(ignored, -1)
    w, s = options.get("weight"), options.get("sample_weight")
    w = None if w is None else torch.tensor(w).double()
    s = None if s is None else torch.tensor(s).double()
    s = s if s is None or s.shape == z.shape[:-1] else s[:, None].expand(z.shape[:-1])
    c = formula.coefficients(z, q, w, s, options.get("label_smoothing", 0.0))
    total = c.sum(-1, keepdim=True)
    share = total * torch.softmax(z, -1) + c
    grad = total * torch.softmax(z, -1) - c
    share = share if z.ndim <= 2 else share.movedim(-1, 1)
    grad = grad if z.ndim <= 2 else grad.movedim(-1, 1)
    return share.nan_to_num(0.0), grad.nan_to_num(0.0)


def joined(parts: list[Any]) -> Any:
    return torch.cat(parts, dim=0 if parts[0].ndim == 1 else 1)


@of_each_group
def test_losses(ranks: int, split: str) -> None:
    """Loss and gradient within `MOST`: the gradient in units of the entry where one class counts,
    of (Σc)·a_n + c_n otherwise. The loss has the same bits on every rank."""
    results, wrong = results_of(ranks), []
    for number, (case, dtype) in enumerate(GOOD):
        if not has_case(ranks, split, number):
            continue
        got = [result[split, number] for result in results]
        name = f"{label(case)}-{dtype}"
        if any(isinstance(one, Exception) for one in got):
            wrong.append(f"{name}: {got}")
            continue
        loss, grad = run(case, dtype)
        want = torch.as_tensor(np.asarray(loss))
        off = units(got[0][0], want)
        same = all(one[0].numpy().tobytes() == got[0][0].numpy().tobytes() for one in got)
        if (
            off > MOST[want.dtype][0]
            or not same
            or got[0][0].dtype != want.dtype
            or got[0][0].shape != want.shape
        ):
            wrong.append(f"{name}: loss {got[0][0]} for {want}, {off} units")
        if got[0][1] is not None:
            whole = joined([one[1] for one in got])
            expected = as_tensor(grad)
            size = None
            if np.ndim(case["target"]) == expected.ndim or "label_smoothing" in case.get(
                "options", {}
            ):
                share, plain = sizes_of_entries(case, dtype)
                scale = (expected.double().abs() / plain.abs()).nan_to_num(0.0, 0.0).amax()
                size = share * scale
            off = units(whole, expected, size)
            if off > MOST[expected.dtype][1]:
                wrong.append(f"{name}: gradient {whole} for {expected}, {off} units")
    assert not wrong, "\n".join(wrong)


@of_each_group
def test_scores(ranks: int, split: str) -> None:
    results, wrong = results_of(ranks), []
    for number, (case, dtype) in enumerate(GOOD):
        if not has_case(ranks, split, number):
            continue
        got = [result[split, number] for result in results]
        if any(isinstance(one, Exception) for one in got):
            continue
        logits, target, options = arguments(case, dtype)
        scored = {n: v for n, v in options.items() if n not in ("reduction", "denominator")}
        want = score_of_all(as_tensor(logits), as_tensor(target), **scored)
        for rank, one in enumerate(got):
            for field, a, b in zip(want._fields, one[2], want, strict=True):
                integers = field in ("predicted", "rank")
                size = None
                if field == "logsumexp" and np.size(logits):  # m + L may cancel
                    size = b.abs() + as_tensor(logits).double().abs().amax()
                if field == "entropy":  # a probability below 2e-308 has fewer digits
                    size = b.double().abs().clamp(min=1e-305)
                off = float((a != b).any()) * 9 if integers else units(a, b, size)
                most = MOST_OF_SCORES.get(a.dtype, 2)
                if off > most or a.dtype != b.dtype or a.shape != b.shape:
                    wrong.append(f"{label(case)}-{dtype}, {rank}: {field} {a} for {b}, {off}")
    assert not wrong, "\n".join(wrong)


@of_each_group
def test_errors(ranks: int, split: str) -> None:
    results, wrong = results_of(ranks), []
    for number, (case, dtype) in enumerate(BAD, len(GOOD)):
        if not has_case(ranks, split, number):
            continue
        expected = case["expect"]
        for rank, result in enumerate(results):
            got = result[split, number]
            fits = isinstance(got, ERRORS[expected["error"]]) and "\n" not in str(got)
            of_slice = any(words in expected["message"] for words in OF_A_SLICE)
            if not (fits and (of_slice or expected["message"] in str(got))):
                wrong.append(f"{label(case)}-{dtype}, {rank}: {got!r}")
    assert not wrong, "\n".join(wrong)
