"""DTensors: the part of this rank, and the process groups that their placements mean."""

from typing import Any

from torch import Tensor

from ..errors import OptionError
from ..linear.plan import Arguments
from ..torch.distributed import is_distributed

Arrays = tuple[Any, Any, Any, Any]  #: logits, target, weight, sample_weight
GIVEN = "a DTensor has its process groups: leave class_group and row_group out"


def local(arrays: Arrays, class_group: Any, row_group: Any) -> tuple[Arrays, Any, Any]:
    """The tensors of this rank, and the groups that split the classes and the rows."""
    if not (isinstance(arrays[0], Tensor) and is_distributed(arrays[0])):
        return arrays, class_group, row_group
    if class_group is not None or row_group is not None:
        raise OptionError(GIVEN)
    logits, target, weight, sample_weight = arrays
    mesh, axis = logits.device_mesh, 1 if logits.ndim > 1 else 0
    by_class, by_row = _sharding(logits, axis), None if axis == 0 else _sharding(logits, 0)
    if {p for p in logits.placements if not p.is_replicate()} - {_shard(axis), _shard(0)}:
        raise OptionError(
            f"logits placed as {logits.placements} are not supported: replicate them, or shard the "
            "classes or the rows (axis 0)"
        )
    soft = isinstance(target, Tensor) and target.ndim == logits.ndim
    rows, classes = {by_row: 0}, {by_class: 0}
    made = (
        logits.to_local(),
        _here(target, mesh, {by_row: 0, by_class: axis} if soft else rows),
        _here(weight, mesh, classes),
        _here(sample_weight, mesh, rows),
    )
    return made, _group(mesh, by_class), _group(mesh, by_row)


def local_layer(
    arrays: Arguments, class_group: Any, row_group: Any
) -> tuple[Arguments, tuple[Any, Any]]:
    """`local` for a linear layer: a weight that is sharded by its rows splits the classes, an input
    that is sharded by its first axis the rows."""
    x, W = arrays.input, arrays.linear_weight
    if not (isinstance(W, Tensor) and is_distributed(W)):
        return arrays, (class_group, row_group)
    if class_group is not None or row_group is not None:
        raise OptionError(GIVEN)
    mesh: Any = W.device_mesh  # type: ignore[attr-defined]
    by_class = _sharding(W, 0)
    by_row = _sharding(x, 0) if isinstance(x, Tensor) and is_distributed(x) else None
    rows, classes = {by_row: 0}, {by_class: 0}
    target = arrays.target
    if isinstance(target, Tensor) and isinstance(x, Tensor) and target.ndim == x.ndim:
        shards = {by_row: 0, by_class: x.ndim - 1}
    else:
        shards = rows
    made = Arguments(
        _here(x, mesh, rows),
        # Of their gradients each rank has the part of its rows.
        _here(W, mesh, classes, by_row),
        _here(arrays.linear_bias, mesh, classes, by_row),
        _here(target, mesh, shards),
        _here(arrays.weight, mesh, classes),
        _here(arrays.sample_weight, mesh, rows),
    )
    return made, (_group(mesh, by_class), _group(mesh, by_row))


def _group(mesh: Any, dimension: int | None) -> Any:
    return None if dimension is None else mesh.get_group(dimension)


def _sharding(tensor: Any, axis: int) -> int | None:
    """The dimension of the mesh that shards this axis; None if there is none."""
    found = [n for n, p in enumerate(tensor.placements) if p.is_shard(axis)]
    if len(found) > 1:
        raise OptionError(f"two dimensions of the mesh shard axis {axis} of the logits: reshard it")
    return found[0] if found else None


def _shard(axis: int) -> Any:
    from torch.distributed.tensor import Shard

    return Shard(axis)


def _here(tensor: Any, mesh: Any, shards: dict[int | None, int], partial: int | None = None) -> Any:
    """This rank's part, where the dimensions of the mesh in `shards` shard the axes there. What is
    no DTensor is the same in all processes. Gradients are to be summed over the dimension
    `partial`."""
    from torch.distributed.tensor import DTensor, Partial, Replicate

    if not isinstance(tensor, Tensor):
        return tensor
    if not isinstance(tensor, DTensor):
        everywhere = [Replicate()] * mesh.ndim
        tensor = DTensor.from_local(tensor, mesh, everywhere, run_check=False)
    wanted = [_shard(shards[n]) if n in shards else Replicate() for n in range(mesh.ndim)]
    of_gradient = [Partial() if n == partial else p for n, p in enumerate(wanted)]
    return tensor.redistribute(mesh, wanted).to_local(grad_placements=of_gradient)
