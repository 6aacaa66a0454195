"""NumPy's own files: .npy is memory-mapped, an array of .npz is streamed out of the zip.

Nothing is unpickled. What a header says about the array's size is compared with the size of the
file before any memory is allocated.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..text import first_line, shown
from .source import Array, ArraySource, BadFileError, Source, choose_key, refuse_key

if TYPE_CHECKING:
    import zipfile

_GIB = 1 << 30
_FORTRAN_LIMIT = _GIB // 4
_READ_AT_ONCE = 1 << 20  # bytes


def open_npy(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """The array of a .npy file, memory-mapped."""
    refuse_key(key)
    size = path.stat().st_size
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(file)
        offset = file.tell()
    count = math.prod(shape)
    if offset + count * dtype.itemsize > size:
        raise BadFileError(
            f"is cut short: its header promises {_described(shape, dtype)} = "
            f"{count * dtype.itemsize} bytes, {size - offset} follow"
        )
    try:
        if count == 0:  # an empty array cannot be mapped
            return ArraySource(np.empty(shape, dtype))
        order = "F" if fortran else "C"
        mapped = np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)  # type: ignore[call-overload]
    except (OSError, ValueError, OverflowError) as error:
        raise BadFileError(f"cannot be mapped: {first_line(error)}") from None
    return ArraySource(np.asarray(mapped))


def open_npz(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """One array of a .npz file, unpacked block by block."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    except Exception as error:
        raise BadFileError(f"is no .npz (zip) file or is cut short: {first_line(error)}") from None
    keys = dict.fromkeys(member.removesuffix(".npy") for member in members)
    source = _NpzSource(path, f"{choose_key(list(keys), key, defaults)}.npy")
    # A row of a Fortran array is scattered over the whole member, which is therefore read whole.
    return ArraySource(source.transposed().T) if source.fortran else source


class _NpzSource(Source):
    shape: tuple[int, ...]

    def __init__(self, path: Path, member: str) -> None:
        self._path, self._member = path, member
        with self._opened() as (file, info):
            self.unpacked, packed = info.file_size, info.compress_size
            if packed > (size := path.stat().st_size):
                raise BadFileError(f"is cut short: it takes {packed} bytes of {size}")
            if self.unpacked > _GIB and self.unpacked > 1000 * packed:
                raise BadFileError(
                    f"is refused: it would unpack from {packed} to {self.unpacked} bytes "
                    "(a zip bomb?); save it uncompressed with numpy.save"
                )
            self.shape, fortran, self.dtype = _header(file)
            declared = file.tell() + math.prod(self.shape) * self.dtype.itemsize
            if declared != self.unpacked:
                raise BadFileError(
                    f"is damaged: its header promises {_described(self.shape, self.dtype)} = "
                    f"{declared} bytes in all, the zip directory says {self.unpacked}"
                )
        # Both orders store the same bytes where at most one axis is longer than 1.
        self.fortran = fortran and sum(n > 1 for n in self.shape) > 1

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], zipfile.ZipInfo]]:
        """The unpacked bytes; errors, those of zipfile and its codecs too, name the member."""
        import zipfile

        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
                yield file, archive.getinfo(self._member)
        except Exception as error:
            known = isinstance(error, BadFileError)
            why = str(error) if known else f"cannot be unpacked: {first_line(error)}"
            raise BadFileError(f"member {shown(self._member)} {why}") from None

    def blocks(self, rows: int) -> Iterator[Array]:
        total, *rest = self.shape
        with self._opened() as (file, _):
            _header(file)
            for start in range(0, total, rows):
                block = np.empty((min(rows, total - start), *rest), self.dtype)
                view = block.reshape(-1).view(np.uint8)
                for done in range(0, len(view), _READ_AT_ONCE):  # one read would double the memory
                    part = view[done : done + _READ_AT_ONCE]
                    data = file.read(len(part))
                    if len(data) < len(part):
                        raise BadFileError("is cut short")
                    part[:] = np.frombuffer(data, np.uint8)
                yield block

    def transposed(self) -> Array:
        """The transpose of an array in Fortran order: the same bytes in C order."""
        if self.unpacked > _FORTRAN_LIMIT:
            raise BadFileError(
                f"holds an array in Fortran (column) order, {self.unpacked} bytes long: too "
                "long to be streamed by rows; save numpy.ascontiguousarray(…), or as .npy"
            )
        self.shape = self.shape[::-1]
        return self.whole()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; raises where they describe no plain array of numbers."""
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
    if any(n < 0 for n in shape):
        raise BadFileError(f"has a negative length in its shape {shape}")
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        raise BadFileError(
            "holds raw 2-byte values: .npy does not keep bfloat16; "
            "save float32 instead, or .safetensors"
        )
    return shape, fortran, dtype


def _described(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{' × '.join(map(str, shape)) or '1'} {dtype.name}"
