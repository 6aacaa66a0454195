"""The linear loss on tensors without autograd: losses, gradients and scores, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...api import Scores
from ...kernels import kernel_for
from ...labels import ClassIndices
from ...linear.blocks import (
    Rows,
    empty_scores,
    finished_scores,
    loss_in_place,
    small_parts,
)
from ...linear.plan import Extras, Plan, plan_for
from ...options import Options, class_weights
from ..operators import has_kernel
from ..tensors import as_float64, as_numpy, new_memory
from .operations import loss_in_operations
from .products import Products, computed_dtype

__all__ = ["Call", "Results"]

MOST_USED = 0.6

Array = NDArray[Any]


@dataclass(slots=True)
class Results:
    """What `Call.run` gives; the gradients that were not wanted are None."""

    losses: Array  #: (rows that count,) float64
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None]  #: float32 for float16
    scores: Scores | None  #: arrays of all rows


class Call:
    """One call: input (rows, features), weight (classes, features), target (rows,) or (rows,
    classes). Raises what the options and labels raise before anything is computed."""

    def __init__(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        class_weight: Tensor | None,
        options: Options,
        extras: Extras,
    ) -> None:
        self.input, self.weight, self.bias = input.detach(), weight.detach(), bias
        self.options, self.extras = options, extras
        classes, features = weight.shape
        self.class_weight = None
        if class_weight is not None:
            self.class_weight = class_weights(as_float64(class_weight.cpu()), classes)
        self.held = computed_dtype(weight.dtype)  # of a block's logits
        target = target.detach().cpu()
        self.plan: Plan = plan_for(
            input.shape[0],
            (classes, features),
            as_numpy(target),
            self.class_weight,
            options,
            extras,
            self.held.itemsize,
            self.held.itemsize if self.held != weight.dtype else 0,
        )
        self.has_kernel = has_kernel(input)

    def run(
        self, upstream: float | Array, needs: tuple[bool, bool, bool], with_scores: bool = False
    ) -> Results:
        with torch.no_grad():
            return self._run(upstream, needs, with_scores)

    def _run(
        self, upstream: float | Array, needs: tuple[bool, bool, bool], with_scores: bool
    ) -> Results:
        plan, device = self.plan, self.input.device
        count = plan.rows if plan.counted is None else plan.counted.size
        losses = np.empty(count, np.float64)
        wide = torch.float64 if self.held is torch.float64 else torch.float32
        scores = empty_scores(as_numpy(torch.empty(0, dtype=wide)), count) if with_scores else None
        factor = plan.factor(upstream)
        products = Products(self.input, self.weight, self.bias, plan, needs)
        largest = max((block.stop - block.start for block in plan.blocks), default=0)
        memory = new_memory((largest, plan.classes), self.held, device)
        for where, block, target in plan.inputs():
            place = torch.from_numpy(where).to(device) if isinstance(where, np.ndarray) else where
            x = products.rows(place)
            logits = memory[: x.shape[0]]
            products.make_logits(x, logits)
            rows = Rows(
                target,
                factor[block] if isinstance(factor, np.ndarray) else factor,
                losses[block],
                None if scores is None else Scores(*[array[block] for array in scores]),
            )
            if self.has_kernel:
                self.with_kernel(logits, rows, any(needs))
            else:
                w = self.class_weight
                loss_in_operations(
                    logits,
                    rows,
                    None if w is None else torch.from_numpy(w).to(device),
                    self.options.label_smoothing,
                    self.extras,
                    any(needs),
                )
            if any(needs):
                labels = None
                if isinstance(target, ClassIndices):
                    labels = torch.from_numpy(target.rows().astype(np.int64)).to(device)
                products.add(logits, x, place, self.used(logits, rows.factor), labels)
        if scores is not None:
            scores = finished_scores(scores, plan, self.options.first_class)
        return Results(losses, products.gradients(), scores)

    def with_kernel(self, logits: Tensor, rows: Rows, with_gradient: bool) -> None:
        """Losses and scores of a block, and the gradient in the memory of its logits."""
        half = self.held.itemsize == 2 and self.extras.change_logits
        # What is done around the kernel takes float32: of a few rows at a time.
        for part in small_parts(*logits.shape) if half else [slice(0, logits.shape[0])]:
            z = logits[part].float() if half else logits[part]
            array = as_numpy(z)
            kernel, _ = kernel_for("cpu", array.dtype, array.dtype)
            loss_in_place(
                kernel,
                array,
                rows.part(part) if half else rows,
                self.class_weight,
                self.options.label_smoothing,
                self.extras,
                with_gradient,
            )
            if half and with_gradient:
                logits[part] = z

    def used(self, grad: Tensor, factor: float | Array) -> Tensor | None:
        """The classes that skip_below leaves in, None for all."""
        if not self.extras.skip_below:
            return None
        bounds = torch.from_numpy(
            np.broadcast_to(self.extras.skip_below * np.abs(factor), grad.shape[:1]).copy()
        ).to(grad.device, torch.float32 if grad.dtype.itemsize < 8 else grad.dtype)
        used = torch.zeros(grad.shape[1], dtype=torch.bool, device=grad.device)
        for part in small_parts(*grad.shape):
            used |= ~(grad[part].abs() <= bounds[part, None]).all(0)  # a NaN is used
        classes = used.nonzero()[:, 0]
        # To gather the weights of most classes would take longer than to multiply with all.
        return classes if len(classes) < grad.shape[1] * MOST_USED else None
