from typing import Any

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
def one_example(logits: NDArray[Any], target: int, grad: NDArray[Any] | None) -> float | None: ...
def score(
    logits: NDArray[Any],
    target: NDArray[Any],
    ignore_index: int,
    scores: Scores,
    threads: int,
) -> None: ...
def check(probabilities: NDArray[Any], tolerance: float, threads: int) -> bool: ...
def levels() -> list[str]: ...
def level() -> str: ...
def use_level(name: str) -> bool: ...
