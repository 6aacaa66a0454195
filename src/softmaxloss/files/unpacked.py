"""The bytes of text files, unpacked as they are read where the file is compressed."""

import contextlib
import importlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..text import first_line
from .errors import BadFileError

#: Suffixes of compressed files, how such a file begins, and the modules that unpack it, the first
#: that is available; each has `open`.
COMPRESSIONS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    ".gz": (b"\x1f\x8b", ("gzip",)),
    ".bz2": (b"BZh", ("bz2",)),
    ".xz": (b"\xfd7zXZ\x00", ("lzma",)),
    ".zst": (b"\x28\xb5\x2f\xfd", ("compression.zstd", "backports.zstd")),
}

_LINE_LIMIT = 1 << 29  # bytes: ten million classes written with 50 characters each
_WHOLE_LIMIT = 1 << 30  # bytes of a file that is read whole
# Text shrinks to a third or a tenth. A small file that unpacks to more than this, and to more than
# 100 times its size, is made to fill the memory.
_UNPACKED_LIMIT = 1 << 26


class Unpacked:
    """A text file that is open for reading, its bytes unpacked; a context manager.

    Attributes:
        size: the bytes of the file as it is stored.
        line_limit: a line has fewer bytes.
        whole_limit: a file that is read whole has no more bytes.
    """

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self.line_limit, self.whole_limit = _LINE_LIMIT, _WHOLE_LIMIT
        suffix = path.suffix.lower()
        self._raw = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        self._file: Any = self._raw
        if suffix in COMPRESSIONS:
            most = max(_UNPACKED_LIMIT, 100 * self.size)
            self.line_limit, self.whole_limit = min(_LINE_LIMIT, most), min(_WHOLE_LIMIT, most)
            self._file = io.BufferedReader(_module(suffix).open(self._raw, "rb"), 1 << 18)

    def readline(self) -> bytes:
        """The next line, b"" at the end."""
        with self._damage():
            line: bytes = self._file.readline(self.line_limit)
        return line

    def whole(self) -> bytes:
        """All bytes. Raises BadFileError for more than `whole_limit`."""
        with self._damage():
            data: bytes = self._file.read(self.whole_limit + 1)
        if len(data) > self.whole_limit:
            raise BadFileError(
                f"is over {self.whole_limit >> 20} MiB long, and is read whole: save .npy, which "
                "is streamed"
            )
        return data

    def keep(self, labels: int) -> None:
        """Raise where so many labels, which are kept in memory, can only be made to fill it."""
        if self._file is not self._raw and 2 * labels > self.whole_limit:  # a digit and a line end
            raise BadFileError(f"unpacks from {self.size} bytes to over {labels} labels: unpack it")

    @property
    def progress(self) -> tuple[int, int]:
        """The bytes read so far and all bytes, as they are stored."""
        return self._raw.tell(), self.size

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each module has errors of its own
            what = "read" if self._file is self._raw else "unpacked (cut short?)"
            raise BadFileError(f"cannot be {what}: {first_line(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):  # of a damaged end, after what was wanted was read
            self._file.close()
        self._raw.close()


def _module(suffix: str) -> Any:
    *_, last = names = COMPRESSIONS[suffix][1]
    for name in names:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    # Only the last of several may be installed.
    hint = f"pip install {last}, or unpack it" if len(names) > 1 else "unpack it"
    raise BadFileError(f"this {suffix} file needs the Python module {last}: {hint}")
