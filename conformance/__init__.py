"""The cases of tests/cases/semantics.json on other people's implementations of the same loss.

`python -m conformance` writes docs/conformance.md.
"""
