"""The calls that people make, and how they compare: `python -m benchmarks.calls`.

    cases.py     every option × layout × dtype × size class, as a selection that can be read
    peers.py     PyTorch eager and compiled, and this library on tensors and on arrays
    report.py    how many times as fast; over plain class indices; the goals
    tables.py    as tables; picture.py shows the first one
    run.py       a run, and its section of docs/performance.md

The processes, their turns and the page are those of the package benchmarks.
"""
