"""NumPy's own files: .npy is memory-mapped, a member of .npz is streamed out of the zip.

Nothing here unpickles, and no memory is taken on a header's word before that word has been
compared with the size of the file.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from .source import (
    Array,
    ArraySource,
    FileError,
    Source,
    check_file,
    choose_key,
    one_line,
)

__all__ = ["open_npy", "open_npz"]

_GIB = 1 << 30
_FORTRAN_LIMIT = _GIB // 4
_PIECE = 1 << 20
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # an unknown compression method
    RuntimeError,  # an encrypted member
)


def open_npy(path: Path) -> Source:
    """A memory-mapped .npy file."""
    size = check_file(path)
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(path, file)
        offset = file.tell()
    count = math.prod(shape)
    if offset + count * dtype.itemsize > size:
        raise FileError(
            path,
            f"is cut short: its header promises {_spelled(shape)} {dtype.name} = "
            f"{count * dtype.itemsize} bytes, {size - offset} follow",
        )
    try:
        if count == 0:  # which cannot be mapped
            array: Array = np.empty(shape, dtype)
        else:
            order = "F" if fortran else "C"
            array = np.asarray(
                np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)  # type: ignore[call-overload]
            )
    except (OSError, ValueError, OverflowError) as error:
        raise FileError(path, f"cannot be mapped: {one_line(error)}") from None
    return _array_source(path, array)


def open_npz(path: Path, key: str | None, defaults: Sequence[str]) -> Source:
    """One member of a .npz file, inflated block by block."""
    size = check_file(path)
    try:
        archive = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        raise FileError(path, f"is no .npz (zip) file or is cut short: {one_line(error)}") from None
    try:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        name = choose_key(path, list(members), key, defaults)
        source = _NpzSource(path, archive, members[name], size)
        if not source.fortran:
            return source
        with source.archive:
            return _fortran_source(source)
    except BaseException:
        archive.close()
        raise


class _NpzSource(Source):
    def __init__(
        self, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int
    ) -> None:
        self.path, self.archive, self.info = path, archive, info
        unpacked, packed = info.file_size, info.compress_size
        if packed > size:
            raise FileError(path, f"is cut short: {self._name} takes {packed} bytes of {size}")
        if unpacked > _GIB and unpacked > 1000 * packed:
            raise FileError(
                path,
                f"refused: {self._name} would unpack from {packed} to {unpacked} bytes "
                "(a zip bomb?); save it uncompressed with numpy.save",
            )
        with self._open() as file:
            shape, self.fortran, self.dtype = _header(path, file, self._name)
            offset = file.tell()
        declared = offset + math.prod(shape) * self.dtype.itemsize
        if declared != unpacked:
            raise FileError(
                path,
                f"{self._name}: its header promises {_spelled(shape)} {self.dtype.name} = "
                f"{declared} bytes in all, the zip directory says {unpacked}",
            )
        self.shape = self.known_shape = shape
        # The two orders are the same bytes where at most one axis is longer than 1.
        self.fortran = self.fortran and sum(n > 1 for n in shape) > 1

    @property
    def _name(self) -> str:
        return f"member {self.info.filename!r}"

    def _open(self) -> IO[bytes]:
        try:
            return self.archive.open(self.info)
        except (*_ZIP_ERRORS, ValueError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> FileError:
        return FileError(self.path, f"{self._name} cannot be unpacked: {one_line(error)}")

    def blocks(self, rows: int) -> Iterator[Array]:
        total, *rest = self.known_shape
        with self._open() as file:
            _header(self.path, file, self._name)
            for start in range(0, total, rows):
                shape = (min(rows, total - start), *rest)
                try:
                    block = np.empty(shape, self.dtype)
                except (MemoryError, ValueError):
                    raise FileError(
                        self.path,
                        f"{self._name}: no memory for {_spelled(shape)} {self.dtype.name}",
                    ) from None
                self._fill(file, block)
                self.progress = (start + len(block), total)
                yield block

    def _fill(self, file: IO[bytes], block: Array) -> None:
        # In pieces, because one large read would hold the block a second time.
        view = block.reshape(-1).view(np.uint8)
        done = 0
        while done < len(view):
            try:
                piece = file.read(min(_PIECE, len(view) - done))
            except _ZIP_ERRORS as error:
                raise self._damaged(error) from None
            if not piece:
                raise FileError(self.path, f"{self._name} is cut short")
            view[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)

    def close(self) -> None:
        self.archive.close()


def _fortran_source(source: _NpzSource) -> Source:
    """A column-major member: its rows are scattered over the whole of it, so it is read whole."""
    shape = source.known_shape
    if source.info.file_size > _FORTRAN_LIMIT:
        raise FileError(
            source.path,
            f"{source._name} is in Fortran (column) order and {source.info.file_size} bytes long: "
            "too long to be streamed by rows; save numpy.ascontiguousarray(…), or as .npy",
        )
    # Its bytes are those of the transposed array in C order.
    source.shape = source.known_shape = shape[::-1]
    return _array_source(source.path, source.whole().T)


def _header(
    path: Path, file: IO[bytes], member: str = ""
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype, refused where they are no plain array of numbers."""
    where = f"{member} " if member else ""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            # 3.0 exists for field names outside latin-1; an array of numbers has no fields.
            raise ValueError(f"format version {version[0]}.{version[1]}")
    except Exception as error:  # the header is a Python literal of unknown origin
        why = one_line(error)
        if "max_header_size" in why:  # NumPy's own words advise to allow pickles
            raise FileError(
                path,
                f"{where}has a .npy header that no array of numbers needs: "
                "it is over 10000 bytes long",
            ) from None
        raise FileError(path, f"{where}has no valid .npy header (cut short?): {why}") from None
    if dtype.hasobject:
        raise FileError(
            path,
            f"{where}holds pickled Python objects, which are never loaded; "
            "save an array of numbers: numpy.save(path, numpy.asarray(x, dtype=…))",
        )
    if not shape:
        raise FileError(path, f"{where}holds a single number; expected an array of them")
    if any(n < 0 for n in shape):
        raise FileError(path, f"{where}has a negative length in its shape {shape}")
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        raise FileError(
            path,
            f"{where}holds raw 2-byte values: .npy does not keep bfloat16; "
            "save float32 instead, or .safetensors",
        )
    return shape, fortran, dtype


def _array_source(path: Path, array: Array) -> Source:
    return ArraySource(path, array, array.shape, array.dtype)


def _spelled(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"
