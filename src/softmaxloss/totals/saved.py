"""Running sums as bytes, and back, without pickle: nothing in the bytes is run.

What is kept are the attributes: arrays, numbers, and those of the objects within. They are read
into a value of the same kind, made anew, which has a place for each of them. So the bytes of
another kind of value, or with other options, are refused.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

_NUMBERS = "numbers"


def to_bytes(value: object) -> bytes:
    """The attributes of a value, as the bytes of an .npz file.

    >>> from softmaxloss.totals.exact import ExactSum
    >>> total, again = ExactSum(), ExactSum()
    >>> total.add(np.array([0.5, 0.25]))
    >>> fill(again, to_bytes(total))
    >>> again.mean(1)
    0.75
    """
    arrays: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for name, holder, attribute in _places(value):
        part = getattr(holder, attribute)
        (arrays if isinstance(part, np.ndarray) else numbers)[name] = part
    arrays[_NUMBERS] = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def fill(value: object, data: bytes) -> None:
    """Set the attributes of a value that was made in the same way to those in the bytes.

    Raises:
        ValueError: they are of another kind of value or of one with other options, or damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            numbers = json.loads(arrays[_NUMBERS].tobytes())
            for name, holder, attribute in _places(value):
                own = getattr(holder, attribute)
                part = arrays[name] if isinstance(own, np.ndarray) else numbers[name]
                same = part == [*own] if isinstance(own, tuple) else type(part) is type(own)
                if not same or (isinstance(own, np.ndarray) and part.dtype != own.dtype):
                    raise ValueError(f"{name} does not fit")
                if not isinstance(own, tuple):
                    setattr(holder, attribute, part)
    except Exception as error:  # of damaged bytes: zipfile, zlib, json, NumPy have errors of each
        raise ValueError(f"these bytes are no such sums: {error}") from None


def _places(value: object, name: str = "") -> Iterator[tuple[str, Any, str]]:
    """Where a value has arrays and numbers: name, the object that holds it, its attribute."""
    if settle := getattr(value, "settle", None):
        settle()
    for attribute, part in sorted(vars(value).items()):
        inner = f"{name}{attribute}."
        if isinstance(part, list):
            for number, item in enumerate(part):
                yield from _places(item, f"{inner}{number}.")
        elif isinstance(part, np.ndarray | int | float | tuple) or part is None:
            yield f"{name}{attribute}", value, attribute
        else:
            yield from _places(part, inner)
