"""Anything that NumPy can read as an array → a NumPy array, or an error of one line."""

from functools import cache
from typing import Any

import numpy as np
from numpy.ma import MaskedArray
from numpy.typing import ArrayLike, NDArray

from .text import first_line

Array = NDArray[Any]

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)

# The bits of bfloat16 numbers, for arrays of a framework: NumPy has no such dtype, and ml_dtypes,
# which has one, need not be installed.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)], align=True)  # so that NumPy sees misaligned ones


def as_array(value: ArrayLike, name: str) -> Array:
    """`value` as a NumPy array. Raises TypeError or ValueError where that would lose its meaning.

    >>> as_array([1, 2], "weight")
    array([1, 2])
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask has no one meaning here: fill it first, with "
            "filled(…)"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous shape" in str(error):
            raise ValueError(
                f"{name} is not one rectangular array: its rows differ in length"
            ) from None
        raise ValueError(f"{name} does not convert to one array: {first_line(error)}") from None
    except (TypeError, RuntimeError, OverflowError) as error:
        raise TypeError(f"{name} does not convert to a NumPy array: {first_line(error)}") from None


def read_real(value: ArrayLike, name: str, needs: str = "real numbers") -> Array:
    """`value` as an array of real numbers: floats of any width or integers.

    >>> read_real(["cat", "dog"], "logits")
    Traceback (most recent call last):
        ...
    TypeError: logits must be real numbers, got dtype <U3
    """
    x = value if type(value) is np.ndarray else as_array(value, name)
    if not is_real(x.dtype):
        raise TypeError(f"{name} must be {needs}, got dtype {x.dtype}")
    return x


@cache
def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of this dtype hold real numbers: floats that the library reads, integers."""
    return dtype.kind in "iu" or is_float(dtype)


@cache
def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the library reads this dtype as a float: NumPy's floats, and bfloat16, of ml_dtypes
    or as its bits."""
    numpy_own = dtype.type in (np.float16, np.float32, np.float64, np.longdouble)
    return numpy_own or dtype.name == "bfloat16" or dtype == BFLOAT16


def float32_of_bits(x: Array) -> NDArray[np.float32]:
    """The numbers of a BFLOAT16 array. Their bits are the upper half of those of a float32.

    >>> float32_of_bits(np.array([0x3F80, 0xC000], np.uint16).view(BFLOAT16))
    array([ 1., -2.], dtype=float32)
    """
    return (x["bfloat16"].astype(np.uint32) << 16).view(np.float32)


def bfloat16_bits(x: Array) -> NDArray[np.uint16]:
    """float32 or float64 numbers rounded to bfloat16, to nearest, ties to even, as bits.

    >>> bfloat16_bits(np.array([1.0, -2.0])) == [0x3F80, 0xC000]
    array([ True,  True])
    """
    # To float32 towards zero, with the last bit set where that is not exact: the second rounding
    # then goes where a single one would.
    narrow = x.astype(np.float32)
    bits = narrow.view(np.uint32) - (np.abs(narrow) > np.abs(x))
    bits |= bits.view(np.float32) != x
    bits += 0x7FFF + ((bits >> 16) & 1)
    return np.where(np.isnan(x), 0x7FC0, bits >> 16).astype(np.uint16)


def as_floats(x: Array) -> Array:
    """A bfloat16 array, of either kind, as float32, which holds its numbers; others as they are."""
    return float32_of_bits(x.view(BFLOAT16)) if x.dtype.kind == "V" else x


def put(out: Array, numbers: Array) -> None:
    """Write as many floats of another shape into an array, each rounded once.

    >>> out = np.zeros(2, BFLOAT16); put(out, np.array([[1.0], [-2.0]])); as_floats(out)
    array([ 1., -2.], dtype=float32)
    """
    if out.dtype.kind == "V" and numbers.dtype.kind != "V":
        out.view(np.uint16)[...] = bfloat16_bits(numbers).reshape(out.shape)
    else:
        with np.errstate(over="ignore", under="ignore"):  # beyond the largest number is inf
            out[...] = numbers.reshape(out.shape)


def round_to(dtype: np.dtype[Any], value: float) -> Any:
    """A number ≥ 0 (or NaN) rounded to float32 or float64, as a scalar.

    A subnormal float32 is made from its bits, as a multiple of 2⁻¹⁴⁹: a conversion would give 0 in
    a process that flushes subnormals to zero.

    >>> round_to(np.dtype("float32"), 3e-45).view(np.uint32)
    np.uint32(2)
    """
    if 0.0 < value < 2.0**-126 and dtype.itemsize == 4:
        return np.uint32(round(value * 2.0**149)).view(np.float32)
    if value <= _LARGEST_FLOAT32:
        return dtype.type(value)
    with np.errstate(over="ignore"):  # beyond the largest float32 is inf
        return dtype.type(value)
