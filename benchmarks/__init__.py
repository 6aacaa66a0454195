"""The speed of this library and its peers, side by side in one run: `python -m benchmarks`.

    calls/       the calls that people make, each against PyTorch: `python -m benchmarks.calls`
    cases.py     the headline shapes, and the same data for everybody
    peers.py     how each peer computes the loss and its gradient, and the limits set by memory
    report.py    medians, ratios to the limit; table.py and picture.py show them

    command.py   what both commands take
    worker.py    one process per peer: prepares cases, makes one timed call when asked
    runner.py    asks the workers in turns: A B C A B C …
    results.py   timings; layout.py has cells and tables, page.py puts them into the docs
    machine.py   what the figures were measured on

docs/performance.md says how the figures are to be read.
"""
