from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...options import Options
from ...scores import Scores

def cross_entropy(
    logits: NDArray[Any],
    target: NDArray[Any],
    weight: NDArray[Any] | None,
    sample_weight: NDArray[Any] | None,
    options: Options,
    ignore_index: int,
    factor: float | NDArray[Any],
    loss: NDArray[Any],
    grad: NDArray[Any] | None,
    threads: int,
) -> None: ...
def direct(
    logits: Any,
    target: Any,
    weight: Any,
    sample_weight: Any,
    options: Options,
    upstream: Any,
    loss: Any,
    grad: Any,
    threads: int,
    /,
) -> Any: ...
def direct_score(
    logits: Any, target: Any, options: Options, threads: int, /
) -> tuple[NDArray[Any], ...] | None: ...
def know_tensors(types: tuple[type, ...], exchange: Any) -> bool: ...
def score(
    logits: NDArray[Any],
    target: NDArray[Any],
    ignore_index: int,
    scores: Scores,
    threads: int,
) -> None: ...
def softcap(
    logits: NDArray[Any],
    cap: float,
    grad: NDArray[Any] | None,
    out: NDArray[Any],
    threads: int,
) -> None: ...
def sum(values: NDArray[np.float64]) -> float: ...
def share_threads(parallel: int) -> None: ...
def levels() -> list[str]: ...
def level() -> str: ...
def use_level(name: str) -> bool: ...
