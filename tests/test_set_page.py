"""The page of a set: what it says, against others; how it behaves in a browser; its commands."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tests.browsing import Open

from softmaxloss import OptionError, explain, explain_set
from softmaxloss.cli import main
from softmaxloss.files import open_scores

INF, NAN = math.inf, math.nan
NASTY = ["<script>alert(1)</script>", "a,b", '"q"', "$x^2$", "\x1b[31m", "鳥" * 40, "\ud800"]


def model(rows: int, classes: int, *, seed: int = 0, scale: float = 2.0) -> tuple[Any, Any]:
    """Logits and labels of a model that takes every other class for the next; some labels are
    wrong."""
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, rows)
    z = random.normal(0.0, 1.0, (rows, classes))
    z[np.arange(rows), y] += 3.0
    alike = (y % 2 == 0) & (y + 1 < classes) & (random.random(rows) < 0.4)
    z[alike, y[alike] + 1] += 3.0
    wrong = random.random(rows) < 0.02
    return z * scale, np.where(wrong, random.integers(0, classes, rows), y)


Z, Y = model(2000, 10)
A = softmax(Z, axis=1)
E = explain_set(Z, Y)


# --- data -----------------------------------------------------------------------------------------


def test_confusions_recall_and_precision_against_scikit_learn():
    c, predicted = E.confusions, Z.argmax(1)
    np.testing.assert_array_equal(c.matrix(list(range(10))), confusion_matrix(Y, predicted))
    precision, recall, _, support = precision_recall_fscore_support(Y, predicted)
    np.testing.assert_array_equal(c.recall, recall)
    np.testing.assert_array_equal(c.precision, precision)
    np.testing.assert_array_equal(c.examples, support)
    off = confusion_matrix(Y, predicted)
    np.fill_diagonal(off, 0)
    first = c.most(1)[0]
    assert first.times == off.max() == off[first.true, first.predicted]
    assert first.share == first.times / support[first.true]
    assert [pair.times for pair in c.most(100)] == sorted(off[off > 0].tolist(), reverse=True)
    part = [2, 3, 7]
    np.testing.assert_array_equal(
        c.matrix(part), confusion_matrix(Y, predicted)[np.ix_(part, part)]
    )


def test_classes_that_do_not_occur_have_no_recall_or_precision():
    c = explain_set([[5.0, 0.0, 0.0], [5.0, 0.0, 0.0]], [0, 1]).confusions
    np.testing.assert_array_equal(c.recall, [1.0, 0.0, NAN])
    np.testing.assert_array_equal(c.precision, [0.5, NAN, NAN])


def test_labels_that_look_wrong_against_confident_learning():
    """By loops over all classes, after Northcutt, Jiang, Chuang 2021: an example is counted for
    the most probable class among those that reach their threshold. Those whose most probable class
    of all reaches it are what `examined` has."""
    threshold = [np.mean([A[r, j] for r in range(len(Y)) if Y[r] == j]) for j in range(10)]
    found = []
    for r in range(len(Y)):
        confident = [j for j in range(10) if A[r, j] >= threshold[j]]
        if confident:
            j = max(confident, key=lambda n: A[r, n])
            if j not in (Y[r],) and j == A[r].argmax():
                found.append(r)
    losses = -np.log(A[np.arange(len(Y)), Y])
    hardest = set(np.argsort(-losses)[:1000].tolist())
    found = sorted(hardest & set(found), key=lambda r: -losses[r])
    assert 20 < len(found) < 600
    x = E.examined
    assert (x.sought, x.found) == (1000, len(found))
    assert [e.row for e in x.suspects] == found[:10]
    hard = sorted(hardest - set(found), key=lambda r: -losses[r])
    assert [e.row for e in x.hard] == hard[:10]
    np.testing.assert_allclose(x.class_probability, threshold, rtol=0, atol=2**-31)
    # Every example with the highest loss is in one of the lists.
    assert {e.row for e in E.top} <= {e.row for e in (*x.suspects, *x.hard)}


@pytest.mark.parametrize("seed", range(3))
def test_explanations_of_shards_merge(seed):
    random = np.random.default_rng(seed)
    cuts = [0, *np.sort(random.integers(0, len(Y) + 1, 4)).tolist(), len(Y)]
    ids = [f"image {r}" for r in range(len(Y))]
    whole = explain_set(Z, Y, ids=ids)
    parts = [
        explain_set(Z[a:b], Y[a:b], first_row=a, ids=ids[a:b]) for a, b in itertools.pairwise(cuts)
    ]
    random.shuffle(parts)
    merged = parts[0].merge(*parts[1:])
    got, wanted = merged.to_dict(), whole.to_dict()
    # These are sums of float64, of 2000 additions at most; means of the gradients are below 1.
    sums = ("class_loss", "pulls", "net_gradient", "pushes")
    for name in sums:
        np.testing.assert_allclose(got.pop(name), wanted.pop(name), rtol=0, atol=2000 * 2.0**-51)
    assert [p["true"] for p in got.pop("strongest")] == [p["true"] for p in wanted.pop("strongest")]
    assert got == wanted
    assert merged.examined.ids == whole.examined.ids
    assert len(merged.examined.ids) == 20
    with pytest.raises(OptionError, match="same names"):
        whole.merge(explain_set(Z, Y, classes=list("abcdefghij")))


def test_sets_of_many_classes_merge():
    z, y = model(300, 2500)
    whole = explain_set(z, y)
    parts = [explain_set(z[k : k + 100], y[k : k + 100], first_row=k) for k in (200, 0, 100)]
    merged = parts[0].merge(*parts[1:])
    assert whole.pairs is not None
    assert merged.pairs is not None
    np.testing.assert_array_equal(np.sort(merged.pairs.true), np.sort(whole.pairs.true))
    np.testing.assert_allclose(merged.pairs.mean.sum(), whole.pairs.mean.sum(), rtol=1e-12)
    np.testing.assert_allclose(merged.pulls, whole.pulls, rtol=1e-12)


def test_ids_must_be_as_many_as_rows():
    with pytest.raises(OptionError, match="there are 1 ids for 2 labels"):
        explain_set([[1.0, 2.0], [1.0, 2.0]], [0, 1], ids=["a"])


# --- words ----------------------------------------------------------------------------------------


def titled(z, y, **options) -> str:
    return re.search("<title>(.*?)</title>", explain_set(z, y, **options).to_html())[1]


def test_the_title_is_the_finding():
    right, one, nine = [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]
    assert titled([right, nine, nine], [0, 1, 1]) == "1 is most often taken for 2"
    names = ["a", "<b>", "c"]
    assert titled([nine, nine], [2, 2], first_class=1, classes=names) == (
        "2 (&lt;b&gt;) is most often taken for 3 (c)"
    )
    assert titled([right, one], [0, 1]) == "All 2 examples are predicted right"
    assert titled([right], [0]) == "The one example is predicted right"
    assert titled([right, one], [1, 1]) == "No class is taken for another more than once"
    assert titled([nine, nine, right, right], [0, 0, 1, 1]) == "0 is often taken for 2"
    assert titled([[NAN, 0.0]], [0]) == "No example has a loss"
    assert titled([[1.0, 0.0]], [-100]) == "No example counts"
    assert titled([[1.0]], [0]) == "With one class, every loss is 0"


def test_the_sentences_quote_the_numbers():
    text = " ".join(E.to_text().split())
    matrix = confusion_matrix(Y, Z.argmax(1))
    i, n = E.confusions.most(1)[0][:2]
    share = 100 * matrix[i, n] / matrix[i].sum()
    assert f"Of the {matrix[i].sum()} examples of class {i}, {matrix[i, n]} ({share:.2f} %)" in text
    assert matrix[n, i] > 1
    assert f"Class {n} is taken for class {i} {matrix[n, i]} times." in text
    confidence, accuracy = 100 * A.max(1).mean(), 100 * (Z.argmax(1) == Y).mean()
    judged = "over" if confidence > accuracy else "under"
    assert f"The model is {judged}confident: it gives its predictions a probability of" in text
    assert f"of {confidence:.2f} % on average, and {accuracy:.2f} % of them are right" in text
    best = E.calibration.best
    assert f"With the temperature T = {best.temperature:.3g}, softmax(z/T)" in text
    assert f"would be {best.loss:.4f} in place of {E.mean_loss:.4f}" in text
    assert (
        f"the {E.examined.sought} examples with the highest loss, {E.examined.found} have" in text
    )


def test_a_confusion_in_one_direction_says_never():
    text = " ".join(explain_set([[9.0, 0.0], [0.0, 9.0]], [1, 1]).to_text().split())
    assert "Of the 2 examples of class 1, 1 (50.00 %) is taken for class 0." in text
    assert "Class 0 is never taken for class 1." in text


@pytest.mark.parametrize("scale", [0.05, 40.0])
def test_a_temperature_at_the_end_of_the_range_says_so(scale):
    z, y = model(500, 4)
    text = " ".join(explain_set(z * scale, y).to_text().split())
    assert "This is the last of those tried" in text


def test_a_temperature_that_gains_nothing_says_so():
    z = np.log([[0.75, 0.25]] * 4)
    assert "gain next to nothing" in " ".join(explain_set(z, [0, 0, 0, 1]).to_text().split())


# --- the page -------------------------------------------------------------------------------------


def sections_of(e) -> dict[str, ET.Element]:
    body = re.search("<main.*</main>", e.to_html(), re.DOTALL)[0]
    return {s.find("h2").text: s for s in ET.fromstring(body).iter("section")}


def test_the_pictures_have_the_numbers():
    sections, svg = sections_of(E), "{http://www.w3.org/2000/svg}"
    matrix = confusion_matrix(Y, Z.argmax(1))
    said = [t.text for t in sections["Which classes are taken for which"].iter(f"{svg}title")][1:]
    for k, words in enumerate(said):
        i, n = divmod(k, 10)
        times, total = matrix[i, n], matrix[i].sum()
        share = 100 * times / total
        assert words == f"true class {i}, predicted {n}: {times} of {total} ({share:.2f} %)"
    bars = sections["How large the losses are"].iter(f"{svg}rect")
    counted = {}
    for bar in bars:
        if (title := bar.find(f"{svg}title")) is not None:
            counted[title.text] = int(title.text.split()[0])
    assert sum(counted.values()) == len(Y)
    words = [
        t.text for t in sections["Whether its probabilities can be trusted"].iter(f"{svg}title")
    ]
    bins = {w: int(w.split()[0]) for w in words if "confidence" in w}
    assert sum(bins.values()) == len(Y)
    assert f"mean loss {E.mean_loss:.4f}" in " ".join(words)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_the_labels_of_the_histogram_stand_above_its_bars(scale):
    """And the line of a label does not cross the other label."""
    svg = "{http://www.w3.org/2000/svg}"
    plot = next(
        sections_of(explain_set(scale * Z, Y))["How large the losses are"].iter(f"{svg}svg")
    )
    bars = [bar for bar in plot.iter(f"{svg}rect") if bar.find(f"{svg}title") is not None]
    highest = min(float(bar.get("y")) for bar in bars if float(bar.get("height")))
    labels = [text for text in plot.iter(f"{svg}text") if text.get("class", "").startswith("label")]
    lines = [line for line in plot.iter(f"{svg}polyline") if line.get("class") == "mark"]
    assert len(labels) == len(lines) == 2
    assert all(float(text.get("y")) < highest for text in labels)
    for label, line in (labels, lines[::-1]), (labels[::-1], lines):
        label, line = label[0], line[0]
        x, y = float(label.get("x")), float(label.get("y"))
        ends = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        width = 9 * len(label.text)
        across = (x - width, x) if "end" in label.get("class") else (x, x + width)
        crosses = across[0] <= ends[0][0] <= across[1]
        assert not crosses or min(end[1] for end in ends) > y


def test_every_example_is_explained_in_the_page():
    e = explain_set(Z, Y, ids=[f"<id {r}>" for r in range(len(Y))])
    body = re.search("<main.*</main>", e.to_html(), re.DOTALL)[0]
    root = ET.fromstring(body)
    links = [a.get("href") for a in root.iter("a")]
    places = {d.get("id"): d for d in root.iter("div") if d.get("id")}
    assert sorted(links) == sorted(f"#{id}" for id in places)
    assert len(links) == 20
    for x in (*e.examined.suspects, *e.examined.hard):
        text = " ".join(places[f"row-{x.row}"].itertext())
        why = explain(Z[x.row], x.label)
        for n in range(10):
            a, slope = why.before.probabilities[n], why.gradient[n]
            assert f"{Z[x.row, n]:.4f}".replace("-", "−") in text or abs(Z[x.row, n]) < 1e-3
            assert f"{a:.4f}" in text or a < 1e-3
            assert f"{slope:+.4f}".replace("-", "−") in text or abs(slope) < 1e-3
        assert f"{why.before.loss:.4f} nats" in text
        assert f"explain(logits[{x.row}], {x.label})" in text
        assert f"<id {x.row}>" in "".join(root.itertext())


@pytest.mark.parametrize("classes", [500, 50_000])
def test_the_page_of_many_classes_is_small(classes):
    z, y = model(400, classes)
    e = explain_set(z.astype(np.float32), y)
    assert len(e.to_html()) < 1_000_000
    sections_of(e)  # well-formed


def hostile() -> Any:
    z, y = model(200, 7)
    return explain_set(z, y, classes=NASTY, ids=[NASTY[r % 7] for r in range(200)])


def sets() -> dict[str, Any]:
    bad = np.array([[0.0, 1.0], [NAN, 0.0], [INF, 0.0], [0.0, -INF], [1.0, 0.0]])
    return {
        "hostile": hostile(),
        "ten": E,
        "many": explain_set(*model(3000, 300)),
        "invalid": explain_set(bad, [0, 0, 1, 1, 0]),
        "perfect": explain_set(np.eye(3) * 50, [0, 1, 2]),
        "two": explain_set([[0.0, 1.0]], [1]),
    }


SETS = sets()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_the_page_fits_its_window(visit: Open, name: str, width: int) -> None:
    page = visit(SETS[name], width=width, color_scheme="dark" if width == 900 else "light")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll('.plot text')].map(text =>
             text.getBoundingClientRect().height).filter(height => height < 11)"""
    )
    assert small == []
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


@pytest.mark.parametrize("script", [True, False])
def test_a_row_leads_to_its_explanation(visit: Open, script: bool) -> None:
    page = visit(E, java_script_enabled=script)
    row = E.examined.suspects[0].row
    table = page.locator(f"#row-{row} table")
    assert not table.is_visible()
    page.locator(f'a[href="#row-{row}"]').focus()
    page.keyboard.press("Enter")
    table.wait_for(state="visible")
    hard = E.examined.hard[0].row
    page.locator(f'a[href="#row-{hard}"]').click()
    page.locator(f"#row-{hard} table").wait_for(state="visible")


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("ten", "light"),
        ("hostile", "dark"),
        ("invalid", "dark"),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in [("ten", "dark"), ("hostile", "light"), ("invalid", "light")]
        ),
    ],
)
def test_axe_finds_nothing_serious(visit: Open, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(SETS[name], color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    # Of what is no violation nothing is asked, and its description is not made.
    options = {"resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []


# --- plots ----------------------------------------------------------------------------------------


# The two differ in what matplotlib draws them with.
@pytest.mark.parametrize(
    ("name", "suffix"), [*((name, "svg") for name in SETS), ("ten", "png"), ("hostile", "png")]
)
def test_plots_are_written(tmp_path, name, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"plots.{suffix}"
    SETS[name].save_plots(path)
    start = path.read_bytes()[:100]
    assert start.startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        ET.parse(path)


def test_plots_without_matplotlib_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionError, match="pip install matplotlib"):
        E.save_plots(tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OptionError, match=r"as \.svg or \.png, not \.pdf"):
        E.save_plots(tmp_path / "a.pdf")


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run `softmaxloss score` in a folder with logits and labels: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", Z)
    np.save("y.npy", Y)

    def run(*arguments):
        code = main(["score", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_score_writes_the_page(run, tmp_path):
    code, out, err = run("z.npy", "y.npy", "--html", "report.html", "--top", 4)
    assert (code, err) == (0, "wrote report.html\n")
    # The report is the same as without it.
    assert out == run("z.npy", "y.npy", "--top", 4)[1]
    page = (tmp_path / "report.html").read_text()
    e = explain_set(Z, Y, top=4)
    assert page == e.to_html(
        command=lambda x: f"softmaxloss explain --file z.npy --labels y.npy --row {x.row}"
    )
    data = json.loads(run("z.npy", "y.npy", "--html", "report.html", "--top", 4, "--json")[1])
    assert data == json.loads(run("z.npy", "y.npy", "--top", 4, "--json")[1])
    assert len(data["top"]) == 4


def test_score_writes_plots_and_scores_at_once(run, tmp_path):
    pytest.importorskip("matplotlib")
    names = "a,b,c,d,e,f,g,h,i,j"
    outputs = ["--out", "plots.svg", "--out", "scores.csv", "--out", "scores.npy"]
    code, _, err = run("z.npy", "y.npy", *outputs, "--classes", names)
    assert (code, err) == (0, "")
    ET.parse("plots.svg")
    with open("scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label_name"] for row in rows] == ["abcdefghij"[y] for y in Y]
    assert [row["predicted_name"] for row in rows] == ["abcdefghij"[n] for n in Z.argmax(1)]
    np.testing.assert_array_equal(np.load("scores.npy")["label"], Y)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--html", ""], "--html needs the name of a file"),
        (["--open"], "--open opens the page that --html FILE writes"),
        (["--html", "z.npy"], "z.npy is a file to be read"),
        (["--out", "y.npy"], "y.npy is a file to be read"),
        (["--html", "no/report.html"], "no/report.html"),
        (["--out", "no/plots.svg"], "no/plots.svg"),
        (["--out", "plots.pdf"], ".pdf"),
    ],
)
def test_wrong_options_are_one_line(run, arguments, says):
    code, out, err = run("z.npy", "y.npy", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_explain_takes_ids(run, tmp_path, capsys):
    ids = [f"images/of/the/test/{r:04}.png" for r in range(len(Y))]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    files = ["explain", "--file", "z.npy", "--labels", "y.npy", "--ids", "ids.txt"]
    assert main([*files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["ids"]
    assert told == json.loads(explain_set(Z, Y, ids=ids).to_json())["ids"]
    assert main(files) == 0  # the end of an id tells it from the others
    first = explain_set(Z, Y, ids=ids).examined.suspects[0].row
    assert f"  …/{first:04}.png  " in capsys.readouterr().out
    out = run("z.npy", "y.npy", "--ids", "ids.txt")[1]
    assert re.search(rf"  …\S*/{E.top[0].row:04}\.png  ", out)
    assert main([*files, "--row", "3"]) == 2
    assert "--ids is for a whole file" in capsys.readouterr().err


def test_ids_are_carried_through(run, tmp_path):
    ids = [f"images/{r:04}, front.png" for r in range(len(Y))]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    named = ["--ids", "ids.txt", "--out", "scores.csv", "--html", "report.html"]
    assert run("z.npy", "y.npy", *named)[0] == 0
    with open("scores.csv", newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ids
    page = (tmp_path / "report.html").read_text()
    assert ids[E.examined.suspects[0].row] in page
    (tmp_path / "ids.txt").write_text("name\n" + "\n".join(ids))
    code, _, err = run("z.npy", "y.npy", *named)
    assert code == 2
    assert "ids.txt: has 2001 ids for 2000 rows: leave out the header" in err
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    assert "is not text in UTF-8" in run("z.npy", "y.npy", *named)[2]
    assert "no such file" in run("z.npy", "y.npy", "--ids", "none.txt")[2]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".npz", ".parquet"])
def test_ids_in_a_column(run, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    texts = ["α, front.png", "007", "<b>", ""]
    table = {"cat": [1.5, 2.0, -1.0, 0.5], "dog": [0.2, 0.5, 3.0, 0.0], "y": [0, 1, 1, 0]}
    for ids in (texts, [10, 7, 7, -3]):
        file = write_table(tmp_path / f"table{suffix}", {"image": ids, **table})
        keys = ["--logits-key", "logits"] if suffix == ".npz" else []
        both = [file, *keys, "--labels-key", "y", "--ids-key", "image"]
        code, out, err = run(*both, "--out", "scores.csv")
        assert (code, err) == (0, "")
        with open("scores.csv", newline="", encoding="utf-8") as scores:
            assert [row["id"] for row in csv.DictReader(scores)] == [str(id) for id in ids]
        command = shlex.split(out.splitlines()[-1])
        assert main(command[1:]) == 0  # the explanation of the first row knows the column, too
        apart = ["--ids", file, "--ids-key", "image", "--out", "apart.csv"]
        np.save("two.npy", np.stack([table["cat"], table["dog"]], axis=1))
        np.save("labels.npy", table["y"])
        assert run("two.npy", "labels.npy", *apart)[0] == 0
        with open("apart.csv", newline="", encoding="utf-8") as scores:
            assert [row["id"] for row in csv.DictReader(scores)] == [str(id) for id in ids]
    assert "has no" in run(file, *keys, "--labels-key", "y", "--ids-key", "images")[2]


def test_ids_of_two_kinds_are_refused(run, tmp_path):
    rows = [{"id": 5, "y": 0, "a": 1.0, "b": 2.0}, {"id": "x", "y": 1, "a": 1.0, "b": 2.0}]
    (tmp_path / "mixed.json").write_text(json.dumps(rows))
    _, _, err = run("mixed.json", "--ids-key", "id")
    assert err.endswith("mixed.json: 'id' has ids of which some are text and some numbers\n")


def write_table(path, columns):
    """A table in the format of the suffix; returns its path."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".npz":
        logits = np.stack([columns["cat"], columns["dog"]], axis=1)
        np.savez(path, logits=logits, y=columns["y"], image=columns["image"])
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return str(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_and_ids_of_any_text_come_back(tmp_path, suffix):
    from softmaxloss import score

    names = [*NASTY, "line\nbreak", " spaces ", ""]
    y = np.array([1, 10, 7, -100])
    z = np.eye(10)[[3, 9, 8, 0]] * 5
    path = tmp_path / f"scores.{suffix}"
    ids = ["a,b", 'q"', "x\r\ny", "plain"]
    with open_scores(path, 4, ids=ids, classes=names, first_class=1) as file:
        for k in (0, 3):
            part = slice(k, 3 if k == 0 else 4)
            file.append(k, y[part], score(z[part], y[part], first_class=1))
    if suffix == "csv":
        with path.open(newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
    assert [row["id"] for row in rows] == ids
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    assert [row["label_name"] for row in rows] == [shown[0], shown[9], shown[6], ""]
    assert [row["predicted_name"] for row in rows] == [shown[3], shown[9], shown[8], ""]
