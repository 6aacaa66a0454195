"""The speed of this library and its peers, side by side in one run: `python -m benchmarks`.

    cases.py     the shapes, and the same data for everybody
    peers.py     how each peer computes the loss and its gradient, and the limits set by memory
    worker.py    one process per peer: prepares a case, makes one timed call when asked
    runner.py    asks the workers in turns: A B C A B C …
    report.py    medians, ratios to the limit; table.py, picture.py and page.py show them
    machine.py   what the figures were measured on

docs/performance.md says how the figures are to be read.
"""
