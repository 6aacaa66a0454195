"""What went wrong, on one line."""

from __future__ import annotations

__all__ = ["cut", "told"]

LONGEST = 300  # characters


def cut(text: str) -> str:
    """The first line of a text, and the beginning of that if it is long."""
    line = text.partition("\n")[0]
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def told(error: BaseException) -> str:
    """An exception on one line; its own text may raise another."""
    name = type(error).__name__
    try:
        text = cut(str(error))
    except Exception:
        text = ""
    return f"{name}: {text}" if text else name
