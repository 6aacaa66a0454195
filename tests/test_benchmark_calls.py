"""The benchmarks of the calls that people make: on tiny sizes, without any claim about speed."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from benchmarks import page
from benchmarks.calls import cases, peers, picture, tables
from benchmarks.calls.cases import CALLS, OPTIONS, Call, data, select
from benchmarks.calls.report import Report
from benchmarks.results import Timings
from tests import benchmark_runs
from tests.benchmark_runs import FIELDS, SVG, is_refused

run = partial(benchmark_runs.run, "benchmarks.calls")


def report(rows, **changes):
    return Report(**(FIELDS | {"rows": rows} | changes))


def rows_of(call, autograd, loss, buffer, torch, torch_loss):
    """Three turns each, whose median is as given."""

    def turns(seconds):
        return [seconds * 1.5, seconds, seconds / 2]

    return [
        Timings(call, "autograd", {"tensors": turns(autograd), "torch": turns(torch)}),
        Timings(
            call,
            "loss",
            {"tensors": turns(loss), "torch": turns(9.0), "compile": turns(torch_loss)},
        ),
        Timings(call, "buffer", {"library": turns(buffer)}),
    ]


INDEX, SMOOTHING = Call("4096x8000"), Call("4096x8000", "smoothing")
SMALL = Call("32x10")
ROWS = [
    *rows_of(INDEX, autograd=1.0, loss=0.5, buffer=0.8, torch=4.0, torch_loss=1.0),
    *rows_of(SMOOTHING, autograd=1.1, loss=1.0, buffer=0.8, torch=0.88, torch_loss=2.0),
    *rows_of(SMALL, autograd=2.0, loss=2.0, buffer=1.0, torch=1.0, torch_loss=2.0),
]


def test_the_table_has_the_calls_that_are_promised():
    promised = """
        4096x8000: index smoothing soft weight+smoothing sample_weight weight ignored none
        4096x8000 bfloat16: index smoothing
        4096x8000 float16: index
        4096x8000 float64: index
        4096x8000 transposed: index
        4096x8000 columns: index
        65536x100: index smoothing soft none sample_weight
        256x1000: index smoothing soft
        128x10: index sample_weight
        32x10: index
        50x10: by_hand
        1024x100: index sum
        8x21x64x64: index
        8x21x256x256: index
        8x21x256x256 channels_last: index
        4x21x256x256: smoothing
        6x19x256x256: index
        4x150x128x128: index
        8x8000x256: index
        4096x32000: index
        2048x50257: index
        1000000x10: index
        262144x100: index
        5: index
    """
    assert len(set(CALLS)) == len(CALLS)
    for line in promised.strip().splitlines():
        which, options = line.strip().split(": ")
        logits, *detail = which.split()
        for option in options.split():
            found = [c for c in CALLS if (c.logits, c.option) == (logits, option)]
            assert [c for c in found if not detail or detail[0] in (c.dtype, c.layout)], line
    assert {call.option for call in CALLS} == set(OPTIONS)
    assert {call.dtype for call in CALLS} == set(cases.DTYPES)
    assert {call.layout for call in CALLS} == set(cases.LAYOUTS)


def test_words_select_calls_and_what_they_are_compared_with():
    (group,) = select(["4096x8000", "smoothing", "soft", "bfloat16"], quick=False)
    index = Call("4096x8000", "index", "bfloat16")
    assert group == [replace(index, option="smoothing"), replace(index, reference=True)]
    (group,) = select(["8x21x64x64", "index"], quick=False)
    assert group == [Call("8x21x64x64"), Call("32768x21", reference=True)]
    assert [c for g in select([], quick=False) for c in g if not c.reference] == CALLS
    assert Call("8x21x256x256").smaller().logits == "8x21x64x64"
    assert Call("8x8000x256").smaller().logits == "8x8000x16"
    assert Call("4096x8000").smaller().logits == "256x8000"
    assert Call("128x10").smaller().logits == "128x10"


@pytest.mark.parametrize(
    ("call", "places"),
    [
        (Call("6x5"), (5, 1)),
        (Call("6x5", layout="transposed"), (1, 6)),
        (Call("6x5", layout="columns"), (5 + cases.PADDING, 1)),
        (Call("2x5x3x4"), (60, 12, 4, 1)),
        (Call("2x5x3x4", layout="channels_last"), (60, 1, 20, 5)),
    ],
)
def test_logits_lie_in_memory_as_the_call_says(call, places):
    cases.forget()
    strides = tuple(4 * place for place in places)
    x = data(call).logits
    assert (x.shape, x.strides) == (call.shape, strides)
    assert cases.buffer(call.logits, call.dtype, call.layout).strides == strides
    if call.layout == "channels_last":
        assert peers.tensor(x).is_contiguous(memory_format=torch.channels_last)


def test_targets_and_weights_are_what_the_option_says():
    ignored = data(Call("1000x7", "ignored")).target
    assert 400 < np.count_nonzero(ignored == cases.IGNORED) < 600
    assert set(np.unique(ignored)) == {cases.IGNORED, *range(7)}
    soft = data(Call("20x7x3", "soft", "float64")).target
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    assert soft.shape == (20, 7, 3)
    assert (soft > 0).all()
    arrays = data(Call("20x7x3", dtype="bfloat16"))
    assert arrays.weight.shape == (7,)
    assert arrays.sample_weight.shape == (20, 3)
    assert {array.dtype.name for array in arrays} == {"bfloat16", "int64"}


def small(call):
    """The same call on few numbers."""
    shapes = {1: "5", 2: "6x5", 3: "2x5x4", 4: "2x5x3x4"}
    return replace(call, logits=shapes[len(call.shape)])


@pytest.mark.parametrize("call", dict.fromkeys(map(small, CALLS)), ids=str)
def test_what_is_timed_is_the_same_loss_and_gradient(call):
    """Ours on tensors and on arrays, against PyTorch's, written here once more."""
    cases.forget()
    x, y, w, s = (peers.tensor(array.copy()).double() for array in data(call))
    y = y if call.option == "soft" else y.long()
    x.requires_grad_()
    cross_entropy = torch.nn.functional.cross_entropy
    keywords = {
        "weight": w if "weight" in call.option.split("+") else None,
        "label_smoothing": 0.1 if "smoothing" in call.option else 0.0,
        "reduction": "sum" if call.option == "sum" else "mean",
    }
    if call.option in ("sample_weight", "by_hand"):
        want = (cross_entropy(x, y, reduction="none") * s).sum() / s.sum()
    else:
        want = cross_entropy(x, y, **keywords)
    want.backward()

    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    if call.dtype in cases.HALF:
        tolerance = {"rtol": 1e-2, "atol": 4e-3}
    for name, peer in (("tensors", peers.Library), ("torch", peers.Torch)):
        for what in ("autograd", "loss"):
            assert peer.takes(call, what)
            with peer(1).context(what):
                loss = peer(1).prepare(call, what)().detach().double().mean()
            np.testing.assert_allclose(loss, want.detach(), err_msg=name, **tolerance)
    if "buffer" in call.whats:
        loss = peers.LibraryOnArrays(1).prepare(call, "buffer")()
        np.testing.assert_allclose(np.mean(loss, dtype=float), want.detach(), **tolerance)
        grad = cases.buffer(call.logits, call.dtype, call.layout).astype(float)
        count = np.prod(call.targets) if call.option == "none" else 1  # the gradient of the sum
        np.testing.assert_allclose(grad, x.grad * count, **tolerance)


def test_ratios_are_of_medians_to_the_faster_peer():
    found = report(ROWS)
    assert found.ratio(INDEX, "autograd") == 4.0
    assert found.ratio(INDEX, "loss") == 2.0  # torch.compile
    assert found.ratio(INDEX, "buffer") == 5.0  # to the pass through autograd
    assert found.ratio(SMOOTHING, "autograd") == pytest.approx(0.8)
    assert found.summary("autograd") == pytest.approx(
        {
            "calls": 3,
            "below_1": 2,
            "geometric_mean": (4 * 0.8 * 0.5) ** (1 / 3),
            "minimum": 0.5,
            "minimum_of_large": 0.8,  # the small call is none of these
        }
    )
    assert found.turns == "3 turns"


def test_what_is_slower_is_bold_and_the_foot_sums_up():
    head, body = tables.against_peers(report(ROWS))
    lines = {(line[0], line[1]): line[2:] for line in body}
    large, small = lines["4096 × 8000", "class indices"], lines["32 × 10", "class indices"]
    assert large == ["1.00 s", "4.00", "500 ms", "2.00", "800 ms", "5.00"]
    assert small == ["2.00 s", "**0.50**", "2.00 s", "1.00", "1.00 s", "1.00"]
    assert lines["4096 × 8000", "label smoothing"][1] == "**0.80**"
    foot = {line[0]: line[3::2] for line in body[3:]}
    assert foot["all calls: minimum"] == ["**0.50**", "1.00", "1.00"]
    assert foot["all calls: slower than the best peer"] == ["2 of 3", "0 of 3", "0 of 3"]
    assert {len(line) for line in body} == {len(head)}


def test_the_second_table_is_over_the_plain_call_and_says_where_the_goal_is_missed():
    transposed = Call("32x10", layout="transposed")
    lying = rows_of(transposed, autograd=3.0, loss=3.4, buffer=1.0, torch=9.0, torch_loss=9.0)
    score = Timings(SMALL, "score", {"tensors": [3.2]})
    half = Call("32x10", dtype="float16")
    reference = Timings(half.as_reference(), "loss", {"tensors": [3.0]})
    smooth = Timings(replace(half, option="smoothing"), "loss", {"tensors": [3.3]})
    found = tables.over_plain(report([*ROWS, *lying, score, reference, smooth]))[1]
    index, goal, rows = "class indices", "≤ 1.15", "contiguous rows, 32 × 10"
    assert found == [
        ["4096 × 8000", "label smoothing", index, "1.10", "**2.00**", "1.00", goal],
        ["32 × 10, transposed", index, rows, "1.50", "**1.70**", "1.00", "≤ 1.6"],
        ["32 × 10 float16", "label smoothing", index, "–", "1.10", "–", goal],
        ["32 × 10", "score", "loss only", "–", "**1.60**", "–", "≤ 1.5"],
    ]


def test_references_are_in_the_table_of_times_only():
    reference = Timings(Call("7x10", reference=True), "loss", {"tensors": [1.0]})
    found = report([*ROWS, reference])
    assert "7 × 10" not in str(tables.against_peers(found))
    assert "7 × 10" in tables.text(found)
    assert "7 × 10" not in picture.svg(found)


def test_marks_are_where_the_ratios_say_on_a_logarithmic_axis():
    tree = ElementTree.fromstring(picture.svg(report(ROWS)))
    ticks = {
        float(text.text): float(text.get("x"))
        for text in tree.iter(f"{SVG}text")
        if text.get("text-anchor") == "middle"
    }
    octave = ticks[2.0] - ticks[1.0]
    assert ticks[0.5] == pytest.approx(ticks[1.0] - octave, abs=0.2)
    assert ticks[8.0] == pytest.approx(ticks[1.0] + 3 * octave, abs=0.3)
    circles = [float(c.get("cx")) for c in tree.iter(f"{SVG}circle")][1:]  # without the legend
    wanted = [ticks[1.0] + octave * np.log2(ratio) for ratio in (4.0, 0.8, 0.5)]
    np.testing.assert_allclose(circles, wanted, atol=0.2)
    assert "A & B" in "".join(tree.itertext())


def test_a_run_measures_each_kind_of_call_and_draws_it(tmp_path):
    drawing = tmp_path / "calls.svg"
    options = ["--only", "5", "32x10", "index", "--repeat", 2, "--seconds", 0, "--json"]
    done = run(*options, "--peers", "tensors", "library", "torch", "--svg", drawing)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {(row["logits"], row["what"]): row["seconds"] for row in found["rows"]}
    one, batch = "one example, 5 classes", "32 × 10"
    both, ours = {"tensors", "torch"}, {"library"}
    assert {key: set(seconds) for key, seconds in rows.items()} == {
        (one, "autograd"): both,
        (one, "loss"): both,
        (one, "buffer"): ours,
        (batch, "autograd"): both,
        (batch, "loss"): both,
        (batch, "buffer"): ours,
        (batch, "score"): {"tensors"},
    }
    for seconds in rows.values():
        for turns in seconds.values():
            assert len(turns) == 2
            assert min(turns) > 0
    assert [note for note in found["notes"] if "busy" not in note] == []
    assert found["summary"]["autograd"]["calls"] == 2
    assert len(list(ElementTree.parse(drawing).iter(f"{SVG}circle"))) == 1 + 2


def test_the_figures_are_written_into_their_section_of_the_page(tmp_path):
    target = tmp_path / "speed.md"
    calls, shapes = page.CALLS, page.SHAPES
    rest = f"\n\nafter\n{shapes.begin}\nothers\n{shapes.end}\n"
    target.write_text(f"before\n{calls.begin}\nold\n{calls.end}{rest}")
    sizes = ["--only", "32x10", "index", "--repeat", 1, "--seconds", 0]
    done = run(*sizes, "--peers", "tensors", "torch", "--write", target)
    assert done.returncode == 0, done.stderr
    text = target.read_text()
    assert text.startswith(f"before\n{calls.begin}\n![")
    assert text.endswith(f"</details>\n{calls.end}{rest}")
    assert "](speed-calls.svg)" in text
    assert "not a whole run" in text
    assert re.search(r"^\| 32 × 10 \| class indices \| [\d.]+ .s \| ", text, re.MULTILINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed-calls.svg", "speed.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "4096x8001"], "'4096x8001' is not in the table"),
        (["--only", "50x10", "soft"], "no call of the table is 50x10 soft at once"),
        (["--repeat", "0"], "--repeat must be 1 or more"),
        (["--write", "README.md"], "has no place for figures"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(arguments, message):
    assert is_refused(run(*arguments), message)
