"""One call on one rank: its arguments, checked; what it sends; what it makes of the answers."""

import math
import zlib
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import LabelError, OptionError
from ..kernels.softcap import softcap_slope, softcapped, z_loss_of, z_loss_slope
from ..labels import SUM_TOLERANCE, SUM_TOLERANCE_OTHERS, ClassIndices, read_target
from ..logits import read_logits, without_classes
from ..options import Options, class_weights, field_names, sample_weights
from ..torch.formula import compute_dtype
from ..torch.tensors import as_float64, as_numpy, require_dense, tensor_beside
from . import slices
from .double import Double
from .merge import Softmax, in_order, mean_of, mixed, softmax_of


class Call:
    """The arguments of a call, for the classes of this rank.

    The constructor needs no other rank. `read` checks what depends on the number of all classes.
    """

    def __init__(
        self,
        logits: Any,
        target: Any,
        weight: Any,
        sample_weight: Any,
        options: Options,
        scored: bool,
    ) -> None:
        if not isinstance(logits, Tensor):
            raise TypeError(f"the logits must be a tensor here, got {type(logits).__name__}")
        require_dense(logits, "logits")
        numbers = as_numpy(torch.zeros((), dtype=logits.dtype))  # only the dtype matters
        self.shape = tuple(logits.shape)
        if not self.shape:
            raise ValueError("logits must have shape (C,), (N, C) or (N, C, d1, …), got one number")
        self.lead_shape, self.classes = without_classes(self.shape)
        read_logits(np.broadcast_to(numbers, (*self.lead_shape, 1)))
        self.rows = math.prod(self.lead_shape)
        self.logits, self.options, self.scored = logits, options, scored
        self.target = self._beside(target, "target")
        self.weight = None if weight is None else self._beside(weight, "weight")
        self.sample_weight = None
        if sample_weight is not None:
            self.sample_weight = self._beside(sample_weight, "sample_weight")
        self.by_index = self.target.ndim < logits.ndim
        self.fields = self._fields()
        self.sizes: tuple[int, ...] = ()
        self.extra: Tensor | None = None

    def _beside(self, value: Any, name: str) -> Tensor:
        tensor: Tensor = tensor_beside(self.logits, value, name, "the logits are")
        if tensor.requires_grad:
            raise OptionError(
                f"{name} gets no gradient where the classes are split: pass {name}.detach()"
            )
        return tensor

    def _fields(self) -> list[str]:
        """The names of the numbers that each rank has for a row."""
        fields = ["m", "S"]
        if self.by_index:
            fields += ["z_y"] if self.weight is None else ["z_y", "w_y"]
        else:
            fields += ["q·(m − z)", "w·q", "q"]
        if self.options.label_smoothing:
            fields += ["m − z", "w"]
        if self.scored:
            fields += ["k", "entropy"]
            fields += [] if self.by_index else ["largest q", "k of q", "z of q"]
        return fields

    @property
    def text(self) -> str:
        """The call in words, the same on all ranks that share the classes."""
        words = {name: getattr(self.options, name) for name in field_names(type(self.options))}
        words |= {
            "rows": self.lead_shape,
            "dtype": str(self.logits.dtype).removeprefix("torch."),
            "target": "indices" if self.by_index else "probabilities",
            "weight": self.weight is not None,
            "sample_weight": self.sample_weight is not None,
            "scores": self.scored,
        }
        return "; ".join(f"{name}={value}" for name, value in words.items())

    def checksums(self) -> tuple[int, int]:
        """Of the target and the sample weights, which are the same on all ranks."""
        y = _checksum(self.target) if self.by_index else 0
        return y, 0 if self.sample_weight is None else _checksum(self.sample_weight)

    @property
    def probabilities(self) -> Tensor:
        """The target as a slice, where it is probabilities."""
        assert self.q is not None
        return self.q

    def capped(self, z: Tensor) -> Tensor:
        """The logits that the loss is of."""
        if self.options.softcap is None:
            return z
        u: Tensor = softcapped(torch, z.to(compute_dtype(z)), self.options.softcap)
        return u

    # --- before the exchange ---------------------------------------------------------------------

    def read(self, sizes: tuple[int, ...], rank: int) -> None:
        """Check the arguments, knowing how many classes each rank has."""
        if sizes == self.sizes:
            return
        self.offset, self.all_classes = sum(sizes[:rank]), sum(sizes)
        shape = self.shape
        if self.all_classes == 0 and self.rows:
            raise ValueError(f"no rank has a class (C = 0) for logits of shape {shape}")
        device = self.logits.device
        self.w = self.s = self.q = None
        if self.weight is not None:
            w = class_weights(as_float64(self.weight.cpu(), "weight"), self.classes)
            self.w = None if w is None else torch.from_numpy(w).to(device)
        if self.sample_weight is not None:
            given = as_float64(self.sample_weight.cpu(), "sample_weight")
            s = sample_weights(given, self.lead_shape)
            self.s = None if s is None else torch.from_numpy(s).to(device)
        x = self.logits.detach()
        x = x if x.is_floating_point() else x.double()
        self.x = as_slice(self.capped(x))
        y = as_numpy(self.target.cpu(), "target")
        if self.by_index:
            whole = (*shape[:1], self.all_classes, *shape[2:])
            if len(shape) == 1:
                whole = (self.all_classes,)
            read = read_target(y, whole, self.options)
            assert isinstance(read, ClassIndices)
            indices = np.where(read.counted(), read.values, -1).astype(np.int64)
            self.y = torch.from_numpy(indices.reshape(-1)).to(device)
            ends = torch.tensor(np.cumsum(sizes), device=device)
            self.owner = torch.searchsorted(ends, self.y.clamp(min=0), right=True)
            inside = (self.y >= self.offset) & (self.y < self.offset + self.classes)
            self.owned = inside
            self.local = torch.where(inside, self.y - self.offset, 0)
        else:
            read_target(y, shape, replace(self.options, multi_label="sum"))
            q = as_slice(self.target.detach())
            self.q = q if q.is_floating_point() else q.double()
        self.sizes = sizes

    def numbers(self, sizes: tuple[int, ...], rank: int) -> Tensor:
        """What this rank sends: (fields, rows) float64."""
        self.read(sizes, rank)
        self.slice, numbers = self.numbers_of(self.x)
        return numbers

    def numbers_of(self, x: Tensor) -> tuple[slices.Slice, Tensor]:
        """The softmax of this rank's logits, x, and what the rank sends of them."""
        made = slices.slice_of(x)
        values = {"m": made.m, "S": made.S, "k": made.k + self.offset, "entropy": made.entropy}
        m = made.m.masked_fill(made.m == -math.inf, 0.0)
        if self.by_index:
            values["z_y"] = self._of_local(x)
            if self.w is not None and self.classes:
                values["w_y"] = torch.where(self.owned, self.w[self.local], 0.0)
            elif self.w is not None:
                values["w_y"] = torch.zeros_like(m)
        else:
            values["q·(m − z)"], values["w·q"] = slices.weighted_sums(x, m, self.w, self.q)
            values["q"] = slices.sum_of(self.probabilities)
            if self.scored:
                values |= self._largest_of_target(x)
        if self.options.label_smoothing:
            values["m − z"], values["w"] = slices.weighted_sums(x, m, self.w, None)
        return made, torch.stack([values[name].double() for name in self.fields])

    def _of_local(self, x: Tensor) -> Tensor:
        """The number of the true class where this rank has it, else 0."""
        if self.classes == 0:
            return x.new_zeros(self.rows, dtype=torch.float64)
        return torch.where(self.owned, slices.at(x, self.local), 0.0)

    def _largest_of_target(self, x: Tensor) -> dict[str, Tensor]:
        if self.classes == 0:
            zeros = x.new_zeros(self.rows, dtype=torch.float64)
            return {"largest q": zeros - 1, "k of q": zeros, "z of q": zeros}
        most, k = (t.reshape(-1) for t in self.probabilities.max(1))
        return {"largest q": most, "k of q": k + self.offset, "z of q": slices.at(x, k)}

    # --- after the exchange ----------------------------------------------------------------------

    def merge(self, gathered: Tensor) -> None:
        """Take in the numbers of all ranks, (ranks, fields·rows): the softmax and the losses."""
        parts = gathered.reshape(len(gathered), len(self.fields), self.rows).unbind(1)
        self.of = of = dict(zip(self.fields, parts, strict=True))
        double = self.logits.dtype is torch.float64
        self.row: Softmax = softmax_of(of["m"], of["S"], double=double)
        m = of["m"].masked_fill(of["m"] == -math.inf, 0.0)
        epsilon = self.options.label_smoothing
        if self.by_index:
            self.z_y, ones = self._of_owner(of["z_y"]), torch.ones_like(self.row.m)
            self.w_y = ones if self.weight is None else self._of_owner(of["w_y"])
            self.total = self.w_y
            mean = Double.of(self.w_y * self.row.loss(self.z_y)).zero_where(self.w_y == 0)
            counts = self.y >= 0
        else:
            self._check_sums(in_order(of["q"]))
            mean = mean_of(of["q·(m − z)"], of["w·q"], m, self.row)
            self.total = in_order(of["w·q"])
            counts = torch.ones_like(self.total, dtype=torch.bool)
        if epsilon:
            share = epsilon / self.all_classes
            mean = mixed(mean, mean_of(of["m − z"], of["w"], m, self.row), 1 - epsilon, share)
            self.total = (1 - epsilon) * self.total + share * in_order(of["w"])
        loss, s = mean.hi, self.s
        self.counts = counts & (self.total != 0)
        if s is not None:
            loss, self.counts = loss * s, self.counts & (s != 0)
        self.losses = torch.where(self.counts, loss, 0.0)
        if self.options.z_loss:  # weights of the classes do not count in it
            counts = self.y >= 0 if self.by_index else torch.ones_like(self.counts)
            self.counts = counts if s is None else counts & (s != 0)
            lse = self.row.m + self.row.L
            z_loss = z_loss_of(lse, self.options.z_loss)
            z_loss = z_loss if s is None else z_loss * s
            self.losses = self.losses + torch.where(self.counts, z_loss, 0.0)
            self.extra = z_loss_slope(lse, self.options.z_loss)

    def true_logits(self) -> tuple[Tensor, Tensor]:
        """Of each row the logit of its true class, which with probabilities is the first of the
        most probable; and whether its scores are those of an ignored one."""
        ignored = torch.zeros_like(self.counts) if self.s is None else self.s == 0
        if self.by_index:
            return self.z_y, ignored | (self.y < 0)
        rank = self.of["largest q"].max(0).indices
        return self.of["z of q"].gather(0, rank[None])[0], ignored

    def count_larger(self, z: Tensor) -> Tensor:
        """How many classes of this rank have a larger logit than z, for each row."""
        threshold = z.to(self.x.dtype).reshape(self.x.shape[0], 1, self.x.shape[2])
        return (self.x > threshold).sum(1).reshape(-1).double()

    def part(self, rows: slice) -> "Call":
        """The call for some rows of logits (N, C)."""
        some = copy(self)
        for name in ("y", "owner", "owned", "local", "w_y", "s", "q", "total", "counts", "extra"):
            values = getattr(self, name, None)
            if values is not None:
                setattr(some, name, values[rows])
        for name in ("row", "slice"):
            columns = getattr(self, name, None)
            if columns is not None:
                some_rows = [None if column is None else column[rows] for column in columns]
                setattr(some, name, columns._make(some_rows))
        some.rows = len(range(self.rows)[rows])
        return some

    def without_logits(self) -> "Call":
        """The call for a backward pass, which is given the logits."""
        kept = copy(self)
        del kept.logits, kept.x, kept.of
        return kept

    def _of_owner(self, values: Tensor) -> Tensor:
        """Of each row what the rank with the true class has."""
        return values.gather(0, self.owner.clamp(max=len(values) - 1)[None])[0]

    def counted_weights(self) -> Tensor:
        """The weights that a mean divides by, of each row."""
        ones = torch.ones_like(self.losses)
        each = torch.where(self.y >= 0, self.w_y, 0.0) if self.by_index else ones
        return each if self.s is None else each * self.s

    def divide_target(self, sums: Tensor) -> None:
        """With multi_label="mean": divide the target by its sums over the classes of all ranks."""
        self._check_sums(sums)
        self.q = self.probabilities / sums.reshape(self.x.shape[0], 1, self.x.shape[2])

    def _check_sums(self, sums: Tensor) -> None:
        """LabelError unless the probabilities of each row sum to 1."""
        if self.options.multi_label == "sum":
            return
        kind = str(self.target.dtype).removeprefix("torch.")
        exact = not self.target.is_floating_point()
        tolerance = 0.0 if exact else SUM_TOLERANCE.get(kind, SUM_TOLERANCE_OTHERS)
        mean = self.options.multi_label == "mean"
        bad = sums == 0 if mean else (sums - 1).abs() > tolerance
        if bool(bad.any()):
            row = int(bad.to(torch.uint8).argmax())
            total = float(sums[row])
            what = "is all zeros: no class is true" if total == 0 else f"sums to {total:.9g}, not 1"
            raise LabelError(
                f"the target of row {row} {what}; the softmax loss expects one true class, or "
                'probabilities that sum to 1 over all ranks; pass multi_label="sum" or "mean" to '
                "add or average over the labels"
            )

    # --- the gradient ----------------------------------------------------------------------------

    def gradient(self, logits: Tensor, factor: Tensor, grad: Tensor) -> None:
        """Fill `grad`, which may be the logits, with factor·∂J/∂z for the classes of this rank, and
        with factor·extra·a_n more where there is `extra`. The factor has the sample weights."""
        if self.options.softcap is None:
            return self._gradient(logits, factor, grad)
        u = self.capped(logits)
        self._gradient(u, factor, u)
        u *= softcap_slope(torch, logits.to(u.dtype), self.options.softcap)
        grad.copy_(u)

    def _gradient(self, logits: Tensor, factor: Tensor, grad: Tensor) -> None:
        """`gradient` with respect to the capped logits."""
        x, out = as_slice(logits), as_slice(grad)
        if x.numel():
            factor = torch.where(self.counts, factor, 0.0)
            total = self.total if self.extra is None else self.total + self.extra
            softmax = torch.where(self.counts, factor * total * self._lift(), 0.0)
            epsilon = self.options.label_smoothing
            share = epsilon / self.all_classes if epsilon else 0.0
            terms = slices.Coefficients(self.w, share, 1 - epsilon, self.q)
            one = self.local if self.by_index else self.probabilities.argmax(1).reshape(-1)
            entry = self._entry(x, one, factor, terms)  # first: out may be the memory of x
            slices.fill_gradient(x, self.slice, one, softmax, factor, terms, out)
            index = one.reshape(x.shape[0], 1, x.shape[2])
            out.scatter_(1, index, entry.to(out.dtype).reshape(index.shape))
        if out.data_ptr() != grad.data_ptr():
            grad.copy_(out.reshape(grad.shape))

    def _lift(self) -> Tensor:
        """What turns a probability among the classes of this rank into one among all."""
        return self.row.share(self.slice.m, self.slice.S)

    def _entry(self, x: Tensor, one: Tensor, factor: Tensor, terms: slices.Coefficients) -> Tensor:
        """The entry of one class of each row, in float64 and without cancellation: of the true
        class where this rank has it, of the largest probability in the target, or of class 0."""
        if self.by_index:
            c = self.owned.double() * terms.kept + terms.share
        else:
            c = terms.kept * slices.at(self.probabilities, one) + terms.share
        if self.w is not None:
            c = c * self.w[one]
        z = slices.at(x, one)
        others = self.total - c if self.extra is None else self.total - c + self.extra
        entry = self.row.probability(z) * others - c * self.row.rest(z)
        return torch.where(self.counts, factor * entry, 0.0)


def as_slice(x: Tensor) -> Tensor:
    """Logits, (C,), (N, C) or (N, C, d1, …), as (outer, classes, inner); a view where possible."""
    if x.ndim == 1:
        return x[None, :, None]
    inner = math.prod(x.shape[2:])
    return x[:, :, None] if x.ndim == 2 else x.reshape(x.shape[0], x.shape[1], inner)


def _checksum(tensor: Tensor) -> int:
    """A checksum of the numbers, whatever the layout."""
    return zlib.crc32(as_numpy(tensor.detach().cpu().contiguous()).tobytes())
