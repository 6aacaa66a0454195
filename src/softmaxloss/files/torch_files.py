"""What torch.save writes: a tensor, or tensors by name. Read by PyTorch, without unpickling code.

Where PyTorch is not installed, the error tells the line that converts the file.
"""

import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array
from ..text import first_line, shown
from .errors import BadFileError
from .source import Ask, Source

# Converts a file of tensors where PyTorch is installed. NumPy has no bfloat16.
_LINE = (
    "python -c \"import torch, numpy as np; t = torch.load('logits.pt', map_location='cpu', "
    "weights_only=True); np.savez('logits.npz', **{k: (v.double() if v.is_floating_point() else v)"
    ".detach().numpy() for k, v in (t if isinstance(t, dict) else dict(logits=t)).items() if "
    'torch.is_tensor(v)})"'
)
_SAFE = (2, 6)  # before, a crafted file could run code in spite of weights_only=True


def open_torch(path: Path, ask: Ask) -> Source:
    """One tensor of a .pt or .pth file, memory-mapped. bfloat16 is read as float32."""
    data = _loaded(path)
    if isinstance(data, list | tuple):
        data = {str(i): value for i, value in enumerate(data)}
    if isinstance(data, dict):
        tensors = {str(name): value for name, value in data.items() if hasattr(value, "stride")}
        name = ask.choose(list(tensors))
        data, what = tensors[name], f"tensor {shown(name, 40)} "
    else:
        ask.refuse_names("holds one tensor, and no names")
        what = ""
    if not hasattr(data, "stride"):
        raise BadFileError(f"holds {type(data).__name__}; expected a tensor, or tensors by name")
    return _Tensor(path, data, what)


class _Tensor(Source):
    """The rows of a tensor."""

    shape: tuple[int, ...]

    def __init__(self, path: Path, tensor: Any, what: str) -> None:
        import torch

        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise BadFileError(f"{what}is sparse, quantized or without data: save a dense tensor")
        if not tensor.ndim:
            raise BadFileError(f"{what}holds a single number; expected an array of them")
        # An expanded tensor can claim more numbers than any memory holds.
        size = path.stat().st_size
        if tensor.numel() * tensor.element_size() > size:
            raise BadFileError(f"{what}is {tuple(tensor.shape)}, more than {size} bytes hold")
        self._tensor = tensor.detach()
        self._convert = tensor.dtype is torch.bfloat16
        self.shape = tuple(tensor.shape)
        try:
            self.dtype = self._numbers(0, 0).dtype
        except TypeError:
            raise BadFileError(f"{what}is {tensor.dtype}, which NumPy does not have") from None

    def blocks(self, rows: int) -> Iterator[Array]:
        for start in range(0, self.shape[0], rows):
            yield self._numbers(start, start + rows)

    def row(self, index: int) -> Array | None:
        return self._numbers(index, index + 1)[0] if index < self.shape[0] else None

    def _numbers(self, start: int, end: int) -> Array:
        part = self._tensor[start:end]
        part = part.float() if self._convert else part
        return np.asarray(part.resolve_neg().resolve_conj().numpy())


def _loaded(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise BadFileError(
            f"PyTorch reads it, and is not installed: pip install torch, or where it is: {_LINE}"
        ) from None
    version = torch.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < _SAFE:
        raise BadFileError(
            f"needs PyTorch 2.6 or later, this is {version}: older ones may run code in a file"
        )
    try:
        in_zip = zipfile.is_zipfile(path)
        if in_zip:
            _require_stored(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the version of a damaged or foreign pickle
            return torch.load(path, map_location="cpu", weights_only=True, mmap=in_zip)
    except BadFileError:
        raise
    except pickle.UnpicklingError as error:  # its message advises to load without weights_only
        if "GLOBAL" not in str(error):
            raise BadFileError("is no file of torch.save or is damaged") from None
        raise BadFileError(
            "holds Python objects that are no tensors, which are never loaded: save a tensor or a "
            "dict of tensors"
        ) from None
    except Exception as error:  # damage raises errors of any type
        why = first_line(error).partition(". ")[0]
        raise BadFileError(f"is no file of torch.save or is damaged: {why}") from None


def _require_stored(path: Path) -> None:
    """Raise for a zip that is compressed, which might unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise BadFileError("is compressed, which torch.save never does; unpack it first")
