"""The benchmark runner works: on tiny sizes, without any claim about speed."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from functools import partial

import numpy as np
import pytest
from benchmarks import page, peers, picture, table
from benchmarks.cases import LINEAR, SHAPES, Case, data, select
from benchmarks.peers import PEERS
from benchmarks.report import Report, Row
from benchmarks.runner import Job, Runner
from tests import benchmark_runs
from tests.benchmark_runs import FIELDS, ROOT, SVG, is_refused

BARS = f"{SVG}rect"

run = partial(benchmark_runs.run, "benchmarks")


@pytest.fixture
def without(tmp_path):
    """Make a package look as if it were not installed."""

    def without(name):
        (tmp_path / f"{name}.py").write_text(
            f"raise ModuleNotFoundError('No module named {name}', name='{name}')"
        )
        return tmp_path

    return without


def report(**changes):
    """Two rows with round figures: the limit takes 1 s (2 s on one thread), ours 1.5 s."""
    case = Case(4096, 32000)
    gradient = {
        "limit": [1.0, 0.9, 1.2],
        "limit1": [2.0, 2.0, 2.0],
        "library": [1.5, 1.4, 3.0],
        "torch": [12.0, 12.0, 12.0],
        "jax": [6.0, 6.0, 6.0],
        "sklearn": [3.0, 3.0, 3.0],
    }
    fresh = {"limit": [2.0], "library": [3.0], "torch": [30.0], "jax": [15.0]}
    fields = {
        "rows": [Row(case, "gradient", gradient), Row(case, "fresh", fresh)],
        "versions": {"this library": "1.0", "torch": "2.0"},
        "notes": ["TensorFlow: tensorflow is not installed"],
    }
    return Report(**(FIELDS | fields | changes))


def test_a_run_has_a_row_for_each_shape_and_call_and_a_column_for_each_peer(without, tmp_path):
    drawing = tmp_path / "times.svg"
    options = ["--only", "7x5", "4x6-float64", "5", "--repeat", 2, "--seconds", 0, "--json"]
    options += ["--svg", drawing]
    peers = ["--peers", "library", "torch", "sklearn", "scipy", "tensorflow"]
    done = run(*options, *peers, modules=without("tensorflow"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    limits = {"limit", "limit1"}
    expected = {
        "gradient": limits | {"library", "torch", "sklearn"},
        "loss": limits | {"library", "torch", "sklearn", "scipy"},
        "score": limits | {"library"},
    }
    shapes = ["7 × 5 float32", "4 × 6 float64", "one example, 5 classes, float32"]
    rows = {(row["logits"], row["what"]): row["seconds"] for row in found["rows"]}
    assert set(rows) == {(shape, what) for shape in shapes for what in expected}
    for (_, what), seconds in rows.items():
        assert set(seconds) == expected[what]
        for turns in seconds.values():
            assert len(turns) == 2
            assert min(turns) > 0
    # What is absent is said once, and nothing failed or computed another loss.
    notes = [note for note in found["notes"] if "busy" not in note]
    assert notes == ["TensorFlow: tensorflow is not installed"]
    assert found["versions"]["torch"]
    bars = ElementTree.parse(drawing).findall(BARS)
    assert len(bars) == 1 + 2 * (3 + 4)  # the background; two shapes, gradient and loss


def test_the_table_of_autograd() -> None:
    fresh = {"library": [3.0], "tensors": [4.0], "inplace": [2.0], "torch": [30.0]}
    rows = [Row(Case(8, 5), "fresh", fresh | {"compile": [16.0]}), Row(Case(8, 5), "loss", fresh)]
    assert table.autograd(report(rows=rows))[1] == [
        ["8 × 5 float32", "16.0 s", "4.00 s, 4.0×", "2.00 s, 8.0×"]
    ]


def test_the_peers_on_tensors_compute_the_loss() -> None:
    """Too small for a row of their own: fresh memory begins at 32 MiB."""
    case = Case(7, 5)
    want = PEERS["torch"](1).prepare(case, "fresh")()
    for name in ("tensors", "inplace"):
        assert float(PEERS[name](1).prepare(case, "fresh")()) == pytest.approx(float(want))


def test_the_figures_are_written_into_the_page_and_nothing_else_is_changed(tmp_path):
    target = tmp_path / "speed.md"
    target.write_text(f"before\n\n{page.SHAPES.begin}\nold\n{page.SHAPES.end}\n\nafter\n")
    sizes = ["--only", "7x5", "--repeat", 1, "--seconds", 0]
    done = run(*sizes, "--peers", "library", "--write", target)
    assert done.returncode == 0, done.stderr
    assert "7 × 5 float32" in done.stdout
    text = target.read_text()
    assert text.startswith(f"before\n\n{page.SHAPES.begin}\n![")
    assert text.endswith(f"{page.SHAPES.end}\n\nafter\n")
    assert "old" not in text
    assert "| 7 × 5 float32 | score |" in text
    assert "`--only 7x5 --peers library`: not a whole run" in text
    assert "](speed.svg)" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.md", "speed.svg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "7y5"], "'7y5' is no shape"),
        (["--only", "0x5"], "'0x5' is no shape"),
        (["--only", "7x5-int8"], "'7x5-int8' is no shape"),
        (["--repeat", "0"], "--repeat must be 1 or more"),
        (["--svg", "no/such/place.svg"], "no/such is not a directory"),
        (["--write", "README.md"], "has no place for figures"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(arguments, message):
    assert is_refused(run(*arguments), message)


def test_a_peer_whose_process_dies_is_a_note(tmp_path, monkeypatch):
    (tmp_path / "scipy.py").write_text("import os\nprint('the end', flush=True)\nos._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    with Runner(peers, ["library", "scipy"], 1, 1, lambda text: None) as runner:
        (row,) = runner.run([[(Case(3, 4), "loss")]])
    assert set(row.seconds) == {"library"}
    assert runner.notes == ["SciPy: its process ended with code 3: the end"]


def test_a_peer_that_computes_something_else_is_a_note():
    runner = Runner(peers, ["library", "torch", "jax"], 1, 1, lambda text: None)
    losses = {"library": 2.0, "torch": 2.001, "jax": 2.1, "limit": float("nan")}
    runner.compare({Job(name, Case(7, 5), "loss", 0): loss for name, loss in losses.items()})
    assert runner.notes == ["JAX, 7 × 5 float32, loss only: its loss is 2.1, ours 2"]


def test_ratios_are_of_medians_to_the_faster_limit():
    gradient, fresh = report().rows
    assert gradient.limit == 1.0
    assert gradient.over_limit("library") == 1.5
    assert gradient.over_limit("compile") is None
    assert gradient.against_fastest == 4.0  # JAX; scikit-learn is no rival
    assert gradient.against_fastest_of(fresh) == 10.0
    assert fresh.over_limit("jax") == 7.5


def test_tables_show_medians_spread_and_gaps():
    text = table.text(report())
    (line,) = [s for s in text.splitlines() if "reused" in s and "copy 1.00 s" in s]
    assert line.split()[-5:] == ["1.50", "12.0", "6.00", "3.00", "4.0×"]
    assert "1.50 (1.40–3.00) s" in text
    assert "TensorFlow: tensorflow is not installed" in text
    markdown = table.markdown(report())
    assert (
        "| 4096 × 32000 float32 | loss + gradient, fresh memory | copy 2.00 s | 1.50 |" in markdown
    )
    assert "| 4096 × 32000 float32 | 1.50 s | 15.0 s, 10.0× |" in markdown


def test_the_table_of_growing_sizes_has_time_per_logit():
    rows = [Row(case, "gradient", {"limit": [1.0], "library": [2.0]}) for case in LINEAR]
    head, body = table.linear(report(rows=rows))
    assert [line[0] for line in body] == ["1e3", "1e4", "1e5", "1e6", "1e7", "1e8"]
    assert body[5] == ["1e8", "20.000", "2.00", "20.000", "2.00"]
    assert len(head) == 5


def test_bars_are_as_long_as_the_ratios_say_and_cut_where_they_would_hide_the_others():
    gradient, fresh = report().rows
    fresh.seconds["torch"] = [200.0]  # 100 times the limit
    tree = ElementTree.fromstring(picture.svg(report(rows=[gradient, fresh])))
    bars = {}
    for bar in tree.findall(BARS)[1:]:
        bars.setdefault(bar.get("fill"), []).append(float(bar.get("width")))
    lengths = {name: bars[colour] for name, colour in picture.COLOURS.items() if colour in bars}
    unit = lengths["library"][0] / 1.5
    expected = {"library": [1.5, 1.5], "torch": [12, 30], "jax": [6, 7.5], "sklearn": [3]}
    assert lengths.keys() == expected.keys()
    for name, ratios in expected.items():
        # Lengths are written with one decimal, of a unit of 9.
        np.testing.assert_allclose(np.divide(lengths[name], unit), ratios, atol=0.2)
    assert len({bar.get("x") for bar in tree.findall(BARS)}) == 1 + 2  # background, two panels
    assert "100 (cut)" in "".join(tree.itertext())


def test_the_whole_table_is_what_is_promised():
    names = [case.name for case in SHAPES]
    assert names == [
        "4096 × 32000 float32",
        "1024 × 128256 float32",
        "65536 × 1000 float32",
        "262144 × 100 float32",
        "1000000 × 10 float32",
        "1024 × 128256 bfloat16",
        "4096 × 32000 float64",
        "one example, 5 classes, float32",
    ]
    assert select([], quick=False) == SHAPES + LINEAR
    assert select(["1024x128256"], quick=False) == [SHAPES[1], SHAPES[5]]
    assert select(["4096x32000-float64"], quick=True) == [Case(256, 32000, "float64")]
    assert select(["linear"], quick=True)[-1].elements == 10**6
    for group in ("over N", "over C"):
        assert [c.elements for c in LINEAR if c.group == group] == [10**p for p in range(3, 9)]


def test_everybody_gets_the_same_data():
    logits, labels = data(Case(1500, 1000))
    again, _ = data(Case(1500, 1000))
    np.testing.assert_array_equal(logits, again)
    assert logits.dtype == np.float32
    assert (labels.dtype, labels.shape) == (np.int64, (1500,))
    assert len(np.unique(logits[:, 0])) == 1500  # the block that is repeated does not show
    assert data(Case(3, 4, "bfloat16"))[0].dtype.name == "bfloat16"
    one, label = data(Case(None, 5))
    assert one.shape == (5,)
    assert 0 <= int(label) < 5


def test_every_peer_has_a_colour():
    assert set(picture.COLOURS) == set(PEERS) - {"limit", "limit1"}


def test_the_page_of_the_docs_takes_figures():
    for section in (page.CALLS, page.SHAPES):
        section.check(ROOT / "docs" / "performance.md")
