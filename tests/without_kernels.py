"""Tensors as on a device without a kernel, where PyTorch's operations compute the formula."""

from __future__ import annotations

import pytest


def use_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no device has a kernel, as far as the tensors' engines know."""
    from softmaxloss.torch import engine, operators
    from softmaxloss.torch.linear import layer

    for module in (engine, operators, layer):
        monkeypatch.setattr(module, "has_kernel", lambda device: False)


@pytest.fixture(params=["kernel", "formula"])
def on_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A test with this fixture runs with the kernel, and with the formula."""
    if request.param == "formula":
        use_formula(monkeypatch)
    return str(request.param)
