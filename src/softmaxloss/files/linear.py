"""Logits of a linear layer, W·x + b, from a file of hidden states x and a file with W.

Hidden states take less room than logits: 8 kB a row for 4096 features in half precision, where
150 000 classes take 300 kB. The logits are computed block by block and never held all at once.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..logits import compute_dtype
from .errors import BadFileError
from .formats import readable
from .source import ArraySource, Ask, Source

#: The names of W and of the hidden states that are taken without a key.
WEIGHTS = ("weight", "lm_head.weight", "classifier.weight", "fc.weight", "head.weight")
STATES = ("hidden_states", "hidden", "last_hidden_state", "embeddings", "features", "input", "x")

_NUMBERS = 1 << 24  # logits or features that are computed or read together: 64 MB in float32


class Linear(NamedTuple):
    """A linear layer.

    Attributes:
        weight: W, (classes, features), as it is computed: half precision is float32.
        bias: b, (classes,), or None.
        name: what the file calls W; "" for the only array of a file without names.
    """

    weight: Array
    bias: Array | None
    name: str


class _Chosen(Ask):
    """Remembers which array was taken, and of which ones."""

    names: Sequence[str] = ()
    name = ""

    def choose(self, names: Sequence[str]) -> str:
        self.names, self.name = names, super().choose(names)
        return self.name


def read_linear(
    path: str | os.PathLike[str], *, key: str | None = None, bias_key: str | None = None
) -> Linear:
    """The linear layer in a file, in any of the formats of `open_logits`.

    Args:
        path: the file with W, shape (classes, features), and the bias if there is one.
        key: the name of W. Without it the only array is taken, or the one named "weight",
            "lm_head.weight" or so.
        bias_key: the name of the bias, shape (classes,). Without it, "….bias" belongs to
            "….weight", where the file has it.

    Raises:
        FileError: missing, unreadable, damaged, or no such arrays.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "head.npz"
    >>> np.savez(path, **{"fc.weight": np.ones((3, 2)), "fc.bias": np.zeros(3)})
    >>> layer = read_linear(path)
    >>> layer.weight.shape, layer.bias
    ((3, 2), array([0., 0., 0.]))
    """
    file = readable(path)
    with file.faults():
        asked = _Chosen(key, WEIGHTS, option="--weight-key")
        weight = _real(file.format.logits(file.path, asked), "W", 2)
        beside = asked.name.removesuffix("weight") + "bias"
        if bias_key is None and asked.name.endswith("weight") and beside in asked.names:
            bias_key = beside
        if bias_key is None:
            return Linear(weight, None, asked.name)
        bias = _real(file.format.logits(file.path, Ask(bias_key, ())), "the bias", 1)
        if bias.shape != weight.shape[:1]:
            raise BadFileError(
                f"has a weight of shape {weight.shape} and a bias of shape {bias.shape}; "
                f"{weight.shape[:1]} fits"
            )
        return Linear(weight, bias, asked.name)


class LinearFile(NamedTuple):
    """Where a linear layer stands: the arguments of `read_linear`."""

    path: str
    key: str | None = None
    bias_key: str | None = None

    def read(self) -> Linear:
        """The layer."""
        return read_linear(self.path, key=self.key, bias_key=self.bias_key)


def _real(source: Source, what: str, axes: int) -> Array:
    """The whole array, as it is computed."""
    if len(source.shape) != axes or not all(n != 0 for n in source.shape):
        fits = "(classes, features)" if axes == 2 else "(classes,)"
        raise BadFileError(f"has shape {source.shape} for {what}; {fits} fits")
    if source.dtype.kind not in "fiu":
        raise BadFileError(f"holds {source.dtype} for {what}; floats or integers fit")
    return source.whole().astype(compute_dtype(source.dtype), copy=False)


class LinearSource(Source):
    """The logits of rows of hidden states."""

    def __init__(self, states: Source, linear: Linear) -> None:
        if len(states.shape) == 1:
            states = ArraySource(states.whole()[np.newaxis])
        classes, features = linear.weight.shape
        if len(states.shape) != 2 or states.shape[1] != features:
            raise BadFileError(
                f"has shape {states.shape}; W of shape {linear.weight.shape} needs hidden states "
                f"of shape (examples, {features})"
            )
        if states.dtype.kind not in "fiu":
            raise BadFileError(f"holds {states.dtype}; hidden states are floats or integers")
        self._states, self._features = states, features
        self.left_out = states.left_out
        self.shape = (states.shape[0], classes)
        self.dtype = np.result_type(compute_dtype(states.dtype), linear.weight.dtype)
        self._weight = linear.weight.astype(self.dtype, copy=False)
        self._bias = None if linear.bias is None else linear.bias.astype(self.dtype, copy=False)

    def blocks(self, rows: int) -> Iterator[Array]:
        # One product reads all of W, so it is made for more rows than may be asked for.
        together = max(1, min(_NUMBERS // self._weight.shape[0], _NUMBERS // self._features))
        for states in self._states.blocks(together):
            self.bytes_read = self._states.bytes_read
            logits = self._logits(states)
            for start in range(0, len(logits), rows):
                yield logits[start : start + rows]

    def row(self, index: int) -> Array | None:
        states = self._states.row(index)
        return None if states is None else np.array(self._logits(states[np.newaxis])[0])

    def _logits(self, states: Array) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):  # such rows are reported as invalid
            logits: Array = np.matmul(states.astype(self.dtype, copy=False), self._weight.T)
            if self._bias is not None:
                logits += self._bias
        return logits
