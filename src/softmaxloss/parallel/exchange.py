"""What the ranks of a group tell each other in a call: one all_gather, which also carries errors.

Every rank sends a head of fixed size, then its numbers. The head says which call this is, how many
classes the rank holds, and what went wrong there, if something did. So an error on one rank, and
options that differ, are an error on every rank, and none waits for another.

Packets have one size on all ranks, or the collective itself would fail. That size, and how many
classes each rank holds, are remembered for each group. Both change only by what all ranks have
read in a head, and so in the same call on each. A call that does not fit what is remembered, as
the first one, is sent twice: the first packet agrees on the size.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import LabelError, OptionError
from ..text import first_line

HEAD = 64  #: float64 numbers in a head
_INTEGERS = struct.Struct("<5q")
_TEXT = 8 * HEAD - _INTEGERS.size
_NONE = -1
_FAILED = "!"  # begins the text of a rank with an error: "!LabelError: …"
_ERRORS = {kind.__name__: kind for kind in (LabelError, OptionError, TypeError, ValueError)}


class Head(NamedTuple):
    """What a rank says of its call."""

    classes: int  #: that this rank holds
    need: int  #: numbers that the call sends
    sizes: int  #: a checksum of the classes of all ranks that it computed with; _NONE
    target: int  #: checksums of what must be the same on all ranks
    sample_weight: int
    text: str  #: the call, "name=value; …", the same on all ranks; or an error

    def packed(self) -> bytes:
        text = self.text.encode()[:_TEXT]
        return _INTEGERS.pack(*self[:5]) + text.ljust(_TEXT, b"\0")

    @classmethod
    def unpacked(cls, data: bytes) -> "Head":
        text = data[_INTEGERS.size :].rstrip(b"\0").decode(errors="ignore")
        classes, need, sizes, target, sample_weight = _INTEGERS.unpack_from(data)
        return cls(classes, need, sizes, target, sample_weight, text)


@dataclass
class Message:
    """What a rank sends: see `Head` for the fields that are in it."""

    text: str
    classes: int
    need: int
    numbers: Callable[[tuple[int, ...]], Tensor]  #: of the classes of all ranks; `need` numbers
    target: int = 0
    sample_weight: int = 0
    error: Exception | None = None

    @classmethod
    def failed(cls, error: Exception) -> "Message":
        """The message of a rank that has no call, because of an error."""
        return cls("", -1, 0, lambda sizes: torch.empty(0), error=error)


@dataclass
class _State:
    """What is remembered of a group, the same on all of its ranks."""

    capacity: int = 0  # numbers in a packet
    # By the classes of this rank: those of all ranks.
    sizes: dict[int, tuple[int, ...]] = field(default_factory=dict)


_states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()


def gather(group: Any, device: torch.device, message: Message) -> Tensor:
    """The numbers of all ranks, (ranks, need) float64.

    Raises what some rank has as an error, on every rank; RuntimeError where another rank died or
    does not make the call within the timeout of the group.
    """
    state = _states.setdefault(group, _State())
    while True:
        numbers, error, used = None, message.error, _NONE
        sizes = state.sizes.get(message.classes)
        if error is None and sizes is not None and message.need <= state.capacity:
            used = _checksum_of(sizes)
            try:
                numbers = message.numbers(sizes)
            except Exception as raised:  # it travels, whatever it is
                error = raised
        packet = _packet(message, used, numbers, error, state.capacity, device)
        packets = _all_gather(group, packet)
        data = packets[:, :HEAD].cpu().contiguous().view(torch.uint8).numpy()
        heads = [Head.unpacked(row.tobytes()) for row in data]
        found = tuple([head.classes for head in heads])
        checksum = _checksum_of(found)
        _raise_errors(heads, checksum, error)
        state.sizes[message.classes] = found
        if any(head.text.startswith(_FAILED) for head in heads):
            continue
        _require_one_call(heads)
        fits = message.need <= state.capacity
        if not fits or message.need < state.capacity // 2:
            state.capacity = message.need
        if fits and all(head.sizes == checksum for head in heads):
            return packets[:, HEAD : HEAD + message.need]


def _packet(
    message: Message,
    sizes: int,
    numbers: Tensor | None,
    error: Exception | None,
    capacity: int,
    device: torch.device,
) -> Tensor:
    text = message.text
    if error is not None:
        text = f"{_FAILED}{type(error).__name__}: {first_line(error)}"
    head = Head(
        message.classes, message.need, sizes, message.target, message.sample_weight, text
    ).packed()
    packet = torch.zeros(HEAD + capacity, dtype=torch.float64, device=device)
    packet[:HEAD] = torch.frombuffer(bytearray(head), dtype=torch.float64)
    if numbers is not None:
        packet[HEAD : HEAD + message.need] = numbers.reshape(-1)
    return packet


def add_up(group: Any, values: Tensor) -> None:
    """Add up the values of all ranks, in place. Raises as `gather` where a rank is missing."""
    try:
        dist.all_reduce(values, group=group)
    except RuntimeError as error:
        raise _missing(group, error) from None


def _all_gather(group: Any, packet: Tensor) -> Tensor:
    """The packets of all ranks in the order of the ranks, (ranks, size)."""
    ranks = dist.get_world_size(group)
    if ranks == 1:
        return packet[None]
    packets = packet.new_empty(ranks * packet.numel())
    try:
        _gather_single(packets, packet, group=group)
    except RuntimeError as error:
        raise _missing(group, error) from None
    return packets.view(ranks, -1)


def _missing(group: Any, error: RuntimeError) -> RuntimeError:
    return RuntimeError(
        f"rank {dist.get_rank(group)} of {dist.get_world_size(group)} heard nothing from the "
        "others: one of them died, or did not make this call within the timeout of the process "
        f"group ({first_line(error)})"
    )


# all_gather_single since PyTorch 2.13; the older name warns there.
_gather_single: Any = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


def _raise_errors(heads: list[Head], checksum: int, own: Exception | None) -> None:
    """This rank's own error; else that of the first rank that has one. An error that followed from
    sizes which are no longer so does not count."""
    for rank, head in enumerate(heads):
        if head.text.startswith(_FAILED) and head.sizes in (_NONE, checksum):
            if own is not None:
                raise own
            name, _, message = head.text[len(_FAILED) :].partition(": ")
            kind = _ERRORS.get(name)
            text = message if kind else f"{name}: {message}"
            raise (kind or RuntimeError)(f"on rank {rank} of the group: {text}")


def _require_one_call(heads: list[Head]) -> None:
    """OptionError where ranks make different calls, with the first difference."""
    first = heads[0]
    for rank, head in enumerate(heads):
        if (head.text, head.need) != (first.text, first.need):
            ours, theirs = first.text.split("; "), head.text.split("; ")
            a, b = next(
                ((a, b) for a, b in zip(ours, theirs, strict=False) if a != b),
                (first.text, head.text),
            )
            raise OptionError(f"the ranks make different calls: {a} on rank 0, {b} on rank {rank}")
        for name in ("target", "sample_weight"):
            if getattr(head, name) != getattr(first, name):
                raise OptionError(
                    f"{name} differs between rank 0 and rank {rank}: all ranks that share the "
                    "classes need the same rows, in the same order"
                )


def _checksum_of(sizes: tuple[int, ...]) -> int:
    return zlib.crc32(struct.pack(f"<{len(sizes)}q", *sizes))
