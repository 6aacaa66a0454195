"""The cases of truth/semantics.json on other implementations of the same loss.

`python -m conformance` writes docs/conformance.md.
"""
