"""The protocol between the process that calls a function and the one that judges it.

One line of JSON per message. The messages come from the process in which the function's code runs,
so nothing in them is trusted.
"""

import json
from dataclasses import asdict
from typing import Any, NamedTuple, get_args

import numpy as np

from ...text import first_line
from ..bank import BANK
from ..calling.calls import Attempt
from ..calling.codes import MOST_CLASSES
from ..calling.forms import Form
from ..calling.roles import Told
from ..calling.wording import Wording
from ..reference import Results


class Loaded(NamedTuple):
    """The function was found.

    `function` is how it is written in Python, such as `Loss().forward`; `notes` say what of the
    file was converted, left out, or is not here.
    """

    function: str
    notes: list[str]


class Done(NamedTuple):
    """The last message: the error that ended the attempts, or None."""

    problem: str | None


class Ended(NamedTuple):
    """How the process ended, which the process that owns it says.

    `code` is its exit code, or minus the signal that ended it; `problem` is the limit that it
    exceeded with all that it started, or None; `left` is how many of these still ran.
    """

    code: int
    problem: str | None = None
    left: int = 0


Message = Loaded | Attempt | Done

MOST_NAMES = 20  # notes, and methods for a gradient that were not checked


def encode(message: Message) -> bytes:
    """A message as a line. It may contain NaN and Infinity, which Python's JSON allows."""
    fields = {type(message).__name__: message._asdict()}
    return json.dumps(fields, default=_encoded).encode() + b"\n"


def _encoded(value: Any) -> dict[str, Any]:
    """What JSON does not know: a form, or a result of another type than float."""
    if isinstance(value, Form):
        return asdict(value)
    array = np.asarray(value)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # too wide for JSON
        array = array.astype(np.float64)
    return {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}


def decode(line: bytes) -> Message:
    """The message of a line. Raises ValueError if it is not a message."""
    try:
        ((kind, data),) = json.loads(line).items()
        if kind == "Attempt":
            return _decode_attempt(data)
        if kind == "Loaded":
            return Loaded(
                first_line(data["function"]),
                [first_line(one) for one in data["notes"][:MOST_NAMES]],
            )
        return Done(_text(data["problem"]))
    except Exception:  # a wrong type, a missing field, a number too large, too many brackets
        raise ValueError("its results cannot be read") from None


def _decode_attempt(data: Any) -> Attempt:
    listed = {name: tuple(data["form"][name]) for name in ("order", "keywords", "returns")}
    form = Form(**data["form"] | listed)
    str(form)  # raises for an unknown role or framework
    if not 0 <= form.classes <= MOST_CLASSES:
        raise ValueError("too many classes")
    return Attempt(
        form=form,
        results=[_decode_results(parts) for parts in data["results"]],
        problem=_text(data["problem"]),
        problems=[_text(problem) for problem in data["problems"]],
        loops=bool(data["loops"]),
        behaviour=[id for id in data["behaviour"] if id in BANK],
        with_options={
            first_line(name): (_decode_results(parts), _text(problem))
            for name, (parts, problem) in data["with_options"].items()
        },
        differentiated=bool(data["differentiated"]),
        gradient_of_loss=bool(data["gradient_of_loss"]),
        told=next(told for told in get_args(Told) if told == data["told"]),
        title=first_line(data["title"]),
        wording=Wording(*data["wording"]),
        has_words=bool(data["has_words"]),
        small=bool(data["small"]),
        aside=bool(data["aside"]),
        not_called=tuple(first_line(one) for one in data["not_called"][:MOST_NAMES]),
    )


def _text(value: Any) -> str | None:
    return None if value is None else first_line(value)


def _decode_results(parts: Any) -> Results:
    return Results(*(None if part is None else _decode_array(part) for part in parts))


def _decode_array(part: Any) -> Any:
    if isinstance(part, float):
        return np.float64(part)
    dtype = np.dtype(part["dtype"])
    if dtype.kind not in "fiu":
        raise TypeError("not numbers")
    return np.array(part["values"], dtype).reshape(part["shape"])
