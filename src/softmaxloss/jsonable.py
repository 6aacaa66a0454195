"""Numbers in a form that JSON can hold."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def jsonable(value: NDArray[np.float64] | float) -> Any:
    """A number or an array of one axis for JSON: the array as a list; NaN and the infinities, which
    JSON lacks, as strings that `float()` reads back.

    >>> jsonable(np.array([1.0, -np.inf])), jsonable(math.nan)
    ([1.0, '-Infinity'], 'NaN')
    """
    if isinstance(value, np.ndarray):
        numbers = value.tolist()
        return numbers if np.isfinite(value).all() else [jsonable(number) for number in numbers]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
