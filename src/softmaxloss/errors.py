"""The errors of this package: each is a `ValueError` or a `TypeError`, each message is one line."""

__all__ = ["LabelError", "OptionError"]


class LabelError(ValueError):
    """The target (label, one-hot row, probabilities) does not fit the logits."""


class OptionError(ValueError):
    """An option of the loss has a value that has no meaning."""
