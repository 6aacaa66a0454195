"""What the results must be: shared by tests/, benchmarks/ and conformance/.

    high_precision.py  the loss and its gradient from their definitions, with 50 digits
    linear.py          the linear loss and its gradients in PyTorch's float64
    semantics.json     the cases of docs/semantics.md; cases.py reads them

Nothing here uses softmaxloss. The names of high_precision.py are imported from here.
"""

from .high_precision import (
    WIDEST,
    Truth,
    coefficients,
    cross_entropy,
    exact,
    example,
    mp,
    softmax,
    ulps,
)

__all__ = [
    "WIDEST",
    "Truth",
    "coefficients",
    "cross_entropy",
    "exact",
    "example",
    "mp",
    "softmax",
    "ulps",
]
