"""Checking the function of a file in a process of its own.

The processes: process.py (what is judged, and when one is ended), worker.py (asks for them),
supervisor.py (owns them on Linux, and ends them with all that they start), child.py (what runs in
them), protocol.py (what they send).

Their limits: limits.py and budget.py (memory, time), confinement.py (files and processes of
others), folder.py (the folder in which they run). docs/security.md says what is promised.

Loading the file there: loading.py (the object of a name), modules.py (runs the statements that it
needs), definitions.py (which these are), source.py (files and notebooks), packages.py (where it
imports from), absent.py and substitutes.py (what is not installed, or was renamed), python2.py and
tokens.py (Python 2).
"""
