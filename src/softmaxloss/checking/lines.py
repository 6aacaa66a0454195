"""What the process that calls a function writes down, a line of JSON for each message, and reads.

What is read comes from where the function's code ran: nothing of it is taken for granted.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from .bank import BANK
from .collecting import Further, Try
from .forms import Form
from .problems import cut
from .steps import Results

__all__ = ["Ended", "Loaded", "Message", "read", "written"]


class Loaded(NamedTuple):
    """The function is there: how it is written in Python, such as `Loss().forward`."""

    function: str


class Ended(NamedTuple):
    """Nothing more comes; why, or None where all was tried."""

    problem: str | None


Message = Loaded | Try | Ended


def written(message: Message) -> bytes:
    """A message as its line (with NaN and Infinity, which Python's JSON has)."""
    plain = _plain(message) if isinstance(message, Try) else message._asdict()
    return json.dumps({type(message).__name__: plain}).encode() + b"\n"


def read(line: bytes) -> Message:
    """What a line says. Raises ValueError where it is none of the messages."""
    try:
        ((kind, data),) = json.loads(line).items()
        if kind == "Try":
            return _try(data)
        if kind == "Loaded":
            return Loaded(cut(str(data["function"])))
        return Ended(_text(data["problem"]))
    except Exception:  # a wrong type, a missing field, a number too large, too many brackets
        raise ValueError("what it wrote down cannot be read") from None


def _plain(attempt: Try) -> dict[str, Any]:
    return attempt._asdict() | {
        "form": asdict(attempt.form),
        "results": [_numbers(result) for result in attempt.results],
        "problem": _text(attempt.problem),
        "further": [(f.name, _numbers(f.results), _text(f.problem)) for f in attempt.further],
    }


def _numbers(results: Results) -> list[Any]:
    def plain(part: Any) -> Any:
        array = np.asarray(part)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # which JSON has no numbers for
            array = array.astype(np.float64)
        return {"dtype": array.dtype.str, "shape": array.shape, "values": array.ravel().tolist()}

    return [None if part is None else plain(part) for part in results]


def _try(data: Any) -> Try:
    form = Form(**data["form"] | {"order": tuple(data["form"]["order"])})
    str(form)  # raises for a role or a framework that there is not
    return Try(
        form=form,
        results=[_results(parts) for parts in data["results"]],
        problem=_text(data["problem"]),
        calls=[id for id in data["calls"] if id in BANK],
        further=[Further(cut(name), _results(p), _text(said)) for name, p, said in data["further"]],
        derived=bool(data["derived"]),
        follows=bool(data["follows"]),
    )


def _text(value: Any) -> str | None:
    return None if value is None else cut(str(value))


def _results(parts: Any) -> Results:
    return Results(*(_array(part) for part in parts))


def _array(part: Any) -> Any:
    if part is None:
        return None
    dtype = np.dtype(part["dtype"])
    if dtype.kind not in "fiu":
        raise TypeError("no numbers")
    return np.array(part["values"], dtype).reshape(part["shape"])
