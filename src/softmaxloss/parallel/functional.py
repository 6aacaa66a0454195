"""The public functions."""

from typing import Any, Unpack

from torch import Tensor

from ..linear.plan import Arguments
from ..options import (
    LinearOptionArguments,
    LinearOptions,
    MultiLabel,
    OptionArguments,
    Options,
    with_options,
)
from ..scores import Scores
from ..torch._private import not_compiled
from ..torch.tensors import without_none
from . import engine, linear, placements
from .engine import Groups


@not_compiled
@with_options(Options)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    class_group: Any = None,
    row_group: Any = None,
    sample_weight: Tensor | None = None,
    **options: Unpack[OptionArguments],
) -> Tensor:
    """`softmaxloss.torch.cross_entropy` of logits that are split over the ranks of process groups.

    All ranks of a group make this call together, and all get the same loss, bit for bit. It is the
    loss of the whole: one process that had all classes and rows would get it, too.

    Where the classes are split, each rank passes its slice of the logits, of `weight` and of a
    target of probabilities. The slices follow each other in the order of the ranks; they may differ
    in size, and may be empty. Class indices count over all classes; they and the sample weights are
    the same on all ranks of `class_group`. One all_gather exchanges a few numbers of each row; with
    multi_label="mean" there is a second one. The backward pass exchanges nothing.

    Where the rows are split, each rank passes its rows, and a mean divides by what all ranks of
    `row_group` count. The gradient of a rank is that of this one loss with respect to its logits:
    gradients of shared parameters are summed over the ranks. DistributedDataParallel averages them;
    there, call backward() on the loss times the number of ranks.

    An error on one rank is an error on all ranks of the group. So are options, targets or sample
    weights that differ between them. If a rank dies, or makes no call within the timeout of the
    group (`timeout` of init_process_group), the others raise RuntimeError.

    Args:
        input: The logits of the classes and rows that this rank has, as in
            `softmaxloss.torch.cross_entropy`. A DTensor brings its groups along: the mesh dimension
            that shards the classes is the class_group, one that shards the first axis the
            row_group.
        target: Class indices, or probabilities of this rank's classes.
        weight: (C,) weights of this rank's classes.
        class_group: The process group whose ranks split the classes; None where they do not.
        row_group: The process group whose ranks split the rows; None where they do not.
        sample_weight: Weights of the rows that this rank has.
        ignore_index, reduction, label_smoothing, multi_label, denominator, first_class, z_loss,
            softcap: As in `softmaxloss.cross_entropy`. With reduction="none" a rank gets the losses
            of its rows.

    Returns:
        A tensor, as `softmaxloss.torch.cross_entropy`. It has first derivatives with respect to the
        logits only.

    Raises:
        As `softmaxloss.cross_entropy`; RuntimeError where a rank is missing.

    Example:
        >>> import torch, torch.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> z = torch.zeros(1, 4, requires_grad=True)      # here the one rank has all classes
        >>> loss = cross_entropy(z, torch.tensor([3]), class_group=dist.group.WORLD)
        >>> loss.backward()
        >>> z.grad
        tensor([[ 0.2500,  0.2500,  0.2500, -0.7500]])
        >>> dist.destroy_process_group()
    """
    arrays, class_group, row_group = placements.local(
        (input, target, weight, sample_weight), class_group, row_group
    )
    return engine.cross_entropy(*arrays, dict(options), Groups(class_group, row_group))


@not_compiled
def score(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    class_group: Any = None,
    sample_weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    multi_label: MultiLabel = "error",
    first_class: int = 0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Scores:
    """`softmaxloss.torch.score` of logits whose classes are split over the ranks of a group.

    The arguments are those of `cross_entropy`. Every rank gets the scores of all rows. There are
    two all_gathers: the rank of the true class needs its logit first.

    Example:
        >>> import torch, torch.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> z = torch.tensor([[2.0, 1.0, 0.0]])
        >>> score(z, torch.tensor([1]), class_group=dist.group.WORLD).rank
        tensor([2])
        >>> dist.destroy_process_group()
    """
    options = {
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "multi_label": multi_label,
        "first_class": first_class,
        "z_loss": z_loss,
        "softcap": softcap,
    }
    arrays, class_group, _ = placements.local(
        (input, target, weight, sample_weight), class_group, None
    )
    return engine.score(*arrays, options, Groups(class_group, None))


@not_compiled
@with_options(LinearOptions)
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    class_group: Any = None,
    row_group: Any = None,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    **options: Unpack[LinearOptionArguments],
) -> Tensor:
    """`softmaxloss.torch.linear_cross_entropy` of a layer that is split over the ranks of groups.

    Each rank of `class_group` passes the whole input and its rows of `linear_weight` and
    `linear_bias`, which are the classes of its slice; what else is said of `cross_entropy` holds
    here. There is one all_gather, of a few numbers of each row. In the backward pass each rank
    computes the gradients of its weight and bias alone; that with respect to the input is added up
    over the ranks, in one all_reduce.

    If all logits of this rank's classes fit in `memory_budget`, they are kept for the backward
    pass. Otherwise it makes them again, in blocks: one product more than a single process takes.
    `skip_below` has no effect.

    Returns:
        The loss, as `softmaxloss.torch.linear_cross_entropy`, with first derivatives with respect
        to input, linear_weight and linear_bias.

    Raises:
        As `softmaxloss.linear_cross_entropy`; RuntimeError where a rank is missing.

    Example:
        >>> import torch, torch.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> x, W = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2)
        >>> linear_cross_entropy(x, W, torch.tensor([0, 1]), class_group=dist.group.WORLD)
        tensor(0.2201)
        >>> dist.destroy_process_group()
    """
    (input, linear_weight, linear_bias, target, weight, sample_weight), groups = (
        placements.local_layer(
            Arguments(input, linear_weight, linear_bias, target, weight, sample_weight),
            class_group,
            row_group,
        )
    )
    arrays = Arguments(input, linear_weight, linear_bias, target, weight, sample_weight)
    return linear.cross_entropy(arrays, without_none(options), Groups(*groups))
