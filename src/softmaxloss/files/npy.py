"""NumPy's own files: .npy, and .npz, an array of which is streamed out of the zip.

Nothing is unpickled. What a header says about the array's size is compared with the size of the
file before any memory is allocated.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..arrays import Array
from ..text import first_line, shown
from .errors import BadFileError
from .source import (
    ArraySource,
    Ask,
    RawSource,
    Source,
    fill,
)

_GIB = 1 << 30
_LONGEST = 1 << 48
_FORTRAN_LIMIT = _GIB // 4


def open_npy(path: Path, ask: Ask) -> Source:
    """The array of a .npy file."""
    ask.refuse_names("holds one array, and no names")
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(file, path.stat().st_size)
        return RawSource(path, file.tell(), shape, dtype, fortran=fortran)


def open_npz(path: Path, ask: Ask) -> Source:
    """One array of a .npz file, unpacked block by block."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except Exception as error:
        raise BadFileError(f"is no .npz (zip) file or is cut short: {first_line(error)}") from None
    keys = dict.fromkeys(member.removesuffix(".npy") for member in members)
    source = _NpzSource(path, f"{ask.choose(list(keys))}.npy")
    if not source.fortran:
        return source
    # A row is scattered over all the bytes, which are those of the transpose in C order.
    if source.size > _FORTRAN_LIMIT:
        raise BadFileError(
            f"holds an array in Fortran (column) order, {source.size} bytes long: too "
            "long to be streamed by rows; save numpy.ascontiguousarray(…), or as .npy"
        )
    source.shape = source.shape[::-1]
    return ArraySource(source.whole().T)


class _NpzSource(Source):
    shape: tuple[int, ...]

    def __init__(self, path: Path, member: str) -> None:
        self._path, self._member = path, member
        with self._opened() as (file, info):
            self.size, packed = info.file_size, info.compress_size
            if packed > (size := path.stat().st_size):
                raise BadFileError(f"is cut short: it takes {packed} bytes of {size}")
            if self.size > _GIB and self.size > 1000 * packed:
                raise BadFileError(
                    f"is refused: it would unpack from {packed} to {self.size} bytes "
                    "(a zip bomb?); save it uncompressed with numpy.save"
                )
            self.shape, fortran, self.dtype = _header(file, self.size, exactly=True)
            self._offset = file.tell()
        # Both orders store the same bytes where at most one axis is longer than 1.
        self.fortran = fortran and sum(n > 1 for n in self.shape) > 1

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        """The unpacked bytes and their `ZipInfo`; errors, also of zipfile, name the member."""
        import zipfile

        try:
            with zipfile.ZipFile(self._path) as archive:
                info = archive.getinfo(self._member)
                with archive.open(info) as file:
                    yield file, info
        except Exception as error:
            known = isinstance(error, BadFileError)
            why = str(error) if known else f"cannot be unpacked: {first_line(error)}"
            raise BadFileError(f"member {shown(self._member)} {why}") from None

    def blocks(self, rows: int) -> Iterator[Array]:
        total, *rest = self.shape
        with self._opened() as (file, _):
            file.seek(self._offset)
            for start in range(0, total, rows):
                block = np.empty((min(rows, total - start), *rest), self.dtype)
                fill(file, block)
                yield block


def _header(
    file: IO[bytes], size: int, *, exactly: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; raises where they describe no plain array of numbers that a
    file of `size` bytes holds, `exactly` or with other bytes behind it."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            # 3.0 exists for field names outside latin-1; an array of numbers has no fields.
            raise ValueError(f"format version {version[0]}.{version[1]}")
    except Exception as error:  # the header is a Python literal from an untrusted file
        why = f"has no valid .npy header (cut short?): {first_line(error)}"
        if "max_header_size" in str(error):  # NumPy's own message advises allowing pickles
            why = "has a .npy header of over 10000 bytes, which no array of numbers needs"
        raise BadFileError(why) from None
    if dtype.hasobject:
        raise BadFileError(
            "holds pickled Python objects, which are never loaded; "
            "save an array of numbers: numpy.save(path, numpy.asarray(x, dtype=…))"
        )
    if not shape:
        raise BadFileError("holds a single number; expected an array of them")
    if any(type(n) is not int or not 0 <= n < _LONGEST for n in shape):  # NumPy lets True pass
        raise BadFileError(f"has the shape {shown(shape, 40)}, which no array has")
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        raise BadFileError(
            "holds raw 2-byte values: .npy does not keep bfloat16; "
            "save float32 instead, or .safetensors"
        )
    promised, follow = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised > follow or (exactly and promised < follow):
        array = f"{' × '.join(map(str, shape))} {dtype.name}"
        raise BadFileError(
            f"is cut short or damaged: its header promises {array} = {promised} bytes, "
            f"{follow} follow"
        )
    return shape, fortran, dtype
