"""Fixtures of more than one file."""

from tests.browsing import browser, visit

__all__ = ["browser", "visit"]
