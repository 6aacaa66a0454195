"""NumPy's own files: .npy is memory-mapped, an array of .npz is streamed out of the zip.

Nothing is unpickled. What a header says about the array's size is compared with the size of the
file before any memory is allocated.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..text import first_line
from .source import Array, ArraySource, BadFileError, Source, choose_key, refuse_key

if TYPE_CHECKING:
    import zipfile

__all__ = ["open_npy", "open_npz"]

_GIB = 1 << 30
_FORTRAN_LIMIT = _GIB // 4
_READ_AT_ONCE = 1 << 20  # bytes


def open_npy(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """The array of a .npy file, memory-mapped."""
    del defaults  # a .npy file has no names to choose from
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
            return ArraySource.of(np.empty(shape, dtype))
        order = "F" if fortran else "C"
        mapped = np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)  # type: ignore[call-overload]
    except (OSError, ValueError, OverflowError) as error:
        raise BadFileError(f"cannot be mapped: {first_line(error)}") from None
    return ArraySource.of(np.asarray(mapped))


def open_npz(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """One array of a .npz file, unpacked block by block."""
    import zipfile

    try:
        archive = zipfile.ZipFile(path)
    except _zip_errors() as error:
        raise BadFileError(f"is no .npz (zip) file or is cut short: {first_line(error)}") from None
    try:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        name = choose_key(list(members), key, defaults)
        source = _NpzSource(archive, members[name], path.stat().st_size)
        if not source.fortran:
            return source
        with archive:
            return _fortran_source(source)
    except BaseException:
        archive.close()
        raise


@cache
def _zip_errors() -> tuple[type[Exception], ...]:
    """What a damaged zip file can raise; zlib and lzma are missing from some Pythons."""
    import zipfile

    found: list[type[Exception]] = [
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,  # an unknown compression method
        RuntimeError,  # an encrypted member, or a method that this Python lacks
        ValueError,
    ]
    for module, name in (("zlib", "error"), ("lzma", "LZMAError")):
        with contextlib.suppress(ImportError):
            found.append(getattr(importlib.import_module(module), name))
    return tuple(found)


class _NpzSource(Source):
    shape: tuple[int, ...]

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> None:
        self.archive, self.info = archive, info
        self._name = f"member {info.filename!r}"
        unpacked, packed = info.file_size, info.compress_size
        if packed > size:
            raise BadFileError(f"is cut short: {self._name} takes {packed} bytes of {size}")
        if unpacked > _GIB and unpacked > 1000 * packed:
            raise BadFileError(
                f"refused: {self._name} would unpack from {packed} to {unpacked} bytes "
                "(a zip bomb?); save it uncompressed with numpy.save"
            )
        with self._open() as file:
            shape, fortran, self.dtype = _header(file, self._name)
            offset = file.tell()
        declared = offset + math.prod(shape) * self.dtype.itemsize
        if declared != unpacked:
            raise BadFileError(
                f"{self._name}: its header promises {_described(shape, self.dtype)} = "
                f"{declared} bytes in all, the zip directory says {unpacked}"
            )
        self.shape = shape
        # Both orders store the same bytes where at most one axis is longer than 1.
        self.fortran = fortran and sum(n > 1 for n in shape) > 1

    def _open(self) -> IO[bytes]:
        try:
            return self.archive.open(self.info)
        except _zip_errors() as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> BadFileError:
        return BadFileError(f"{self._name} cannot be unpacked: {first_line(error)}")

    def blocks(self, rows: int) -> Iterator[Array]:
        total, *rest = self.shape
        with self._open() as file:
            _header(file, self._name)
            for start in range(0, total, rows):
                shape = (min(rows, total - start), *rest)
                try:
                    block = np.empty(shape, self.dtype)
                except (MemoryError, ValueError):
                    wanted = _described(shape, self.dtype)
                    raise BadFileError(f"{self._name}: no memory for {wanted}") from None
                self._fill(file, block)
                self.progress = (start + len(block), total)
                yield block

    def _fill(self, file: IO[bytes], block: Array) -> None:
        # One large read would hold the block in memory twice.
        view = block.reshape(-1).view(np.uint8)
        done = 0
        while done < len(view):
            try:
                part = file.read(min(_READ_AT_ONCE, len(view) - done))
            except _zip_errors() as error:
                raise self._damaged(error) from None
            if not part:
                raise BadFileError(f"{self._name} is cut short")
            view[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)

    def close(self) -> None:
        self.archive.close()


def _fortran_source(source: _NpzSource) -> Source:
    """A column-major array, read whole: each of its rows is scattered over the whole of it."""
    if source.info.file_size > _FORTRAN_LIMIT:
        raise BadFileError(
            f"{source._name} is in Fortran (column) order and {source.info.file_size} bytes long: "
            "too long to be streamed by rows; save numpy.ascontiguousarray(…), or as .npy"
        )
    # Its bytes are those of the transposed array in C order.
    source.shape = source.shape[::-1]
    return ArraySource.of(source.whole().T)


def _header(file: IO[bytes], member: str = "") -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; refused where they describe no plain array of numbers."""

    def refused(why: str) -> BadFileError:
        return BadFileError(f"{member} {why}".lstrip())

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
        if "max_header_size" in str(error):  # NumPy's own message advises allowing pickles
            raise refused(
                "has a .npy header that no array of numbers needs: it is over 10000 bytes long"
            ) from None
        raise refused(f"has no valid .npy header (cut short?): {first_line(error)}") from None
    if dtype.hasobject:
        raise refused(
            "holds pickled Python objects, which are never loaded; "
            "save an array of numbers: numpy.save(path, numpy.asarray(x, dtype=…))"
        )
    if not shape:
        raise refused("holds a single number; expected an array of them")
    if any(n < 0 for n in shape):
        raise refused(f"has a negative length in its shape {shape}")
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        raise refused(
            "holds raw 2-byte values: .npy does not keep bfloat16; "
            "save float32 instead, or .safetensors"
        )
    return shape, fortran, dtype


def _described(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{' × '.join(map(str, shape)) or '1'} {dtype.name}"
