"""Files of hidden states with --weight: the logits of a linear layer."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from scipy.special import logsumexp
from tests.commands import fails

from softmaxloss.files import FileError, Linear, open_logits, read_linear
from softmaxloss.files.evaluation import evaluate

RNG = np.random.default_rng(3)
N, D, C = 300, 16, 23
X = RNG.normal(size=(N, D))
W = RNG.normal(size=(C, D))
B = RNG.normal(size=C)
Y = RNG.integers(0, C, N)
LOSSES = logsumexp(X @ W.T + B, axis=1) - (X @ W.T + B)[np.arange(N), Y]


@pytest.fixture
def files(run):
    """Hidden states, labels and layers in files."""
    np.save("x.npy", X)
    np.save("y.npy", Y)
    np.save("W.npy", W)
    np.savez("head.npz", **{"lm_head.weight": W, "lm_head.bias": B, "other": W[:2]})
    np.save("z.npy", X @ W.T + B)
    return run


def scored(run, *arguments):
    code, out, err = run("score", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_loss_is_that_of_the_logits(files):
    """The sums of 16 products are rounded in another order: 16 · 2⁻⁵³ of terms up to 30."""
    with_bias = scored(files, "x.npy", "y.npy", "--weight", "head.npz")
    assert with_bias["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-13)
    logits = scored(files, "z.npy", "y.npy")
    assert with_bias["mean_loss"] == pytest.approx(logits["mean_loss"], rel=1e-13)
    assert [e["row"] for e in with_bias["top"]] == [e["row"] for e in logits["top"]]
    for name in ("accuracy", "top_k"):
        assert with_bias[name] == logits[name]
    without = scored(files, "x.npy", "y.npy", "--weight", "W.npy")
    z = X @ W.T
    expected = (logsumexp(z, axis=1) - z[np.arange(N), Y]).mean()
    assert without["mean_loss"] == pytest.approx(expected, rel=1e-13)


def test_several_files_of_hidden_states(files):
    whole = scored(files, "x.npy", "y.npy", "--weight", "head.npz", "--out", "one.csv")
    for folder, array in (("x", X), ("y", Y)):
        Path(folder).mkdir()
        for number, part in enumerate(np.split(array, [1, 120, 250])):
            np.save(f"{folder}/{number}.npy", part)
    for workers in (1, 2):
        more = ["--weight", "head.npz", "--workers", workers]
        result = scored(files, "x", "y", *more, "--out", "many.csv", "--html", "x.html")
        for name in ("mean_loss", "mean_entropy", "ece"):
            assert result[name] == pytest.approx(whole[name], rel=1e-13)
        assert result["accuracy"] == whole["accuracy"]
    # The layer is one of the things that a finished file depends on.
    state = ["--resume", "state", "--json"]
    files("score", "x", "y", "--weight", "head.npz", *state)
    again = files("score", "x", "y", "--weight", "head.npz", *state)
    assert "4 of 4 files were scored before" in again[2]
    np.savez("head.npz", **{"lm_head.weight": W, "lm_head.bias": B + 1})
    assert "before" not in files("score", "x", "y", "--weight", "head.npz", *state)[2]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_dtypes_of_states_and_weights(files, dtype):
    """Half precision is computed in float32, without a rounding to half precision: 2·16·2⁻²⁴ of
    sums of products up to 60 are 1e-4 at most in a loss."""
    x, w = X.astype(dtype), W.astype(dtype)
    safetensors.numpy.save_file({"hidden_states": x, "ids": Y}, "x.safetensors")
    safetensors.numpy.save_file({"weight": w, "other": w}, "w.safetensors")
    result = scored(files, "x.safetensors", "y.npy", "--weight", "w.safetensors")
    z = x.astype(np.float64) @ w.astype(np.float64).T
    expected = (logsumexp(z, axis=1) - z[np.arange(N), Y]).mean()
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    assert result["mean_loss"] == pytest.approx(expected, rel=tolerance)


def test_explain_takes_the_layer_as_well(files):
    _, out, _ = files("score", "x.npy", "y.npy", "--weight", "head.npz", "--top", 1)
    words = re.search(r"softmaxloss (explain --file .*)\n", out)[1].split()
    assert words[-2:] == ["--weight", "head.npz"]
    code, out, err = files(*words, "--json")
    assert code == 0, err
    assert json.loads(out)["loss"] == pytest.approx(LOSSES.max(), rel=1e-12)
    code, out, err = files("explain", "--file", "x.npy", "--labels", "y.npy", *words[-2:], "--json")
    assert json.loads(out)["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-13)


@pytest.mark.parametrize("rows", [1, 7, N])
def test_blocks_have_at_most_the_rows_that_are_asked_for(files, rows):
    with open_logits("x.npy", linear=Linear(W, B, "")) as logits:
        assert logits.shape == (N, C)
        blocks = [*logits.blocks(max_elements=rows * C)]
        np.testing.assert_allclose(logits.row(5), (X @ W.T + B)[5], rtol=1e-12)
    assert max(len(block) for _, block in blocks) == rows
    assert [start for start, _ in blocks] == [*range(0, N, rows)]
    np.testing.assert_allclose(np.concatenate([b for _, b in blocks]), X @ W.T + B, rtol=1e-12)


def test_one_example_and_a_table_of_hidden_states(files):
    np.save("one.npy", X[0])
    Path("one.txt").write_text(f"{Y[0]}\n")
    result = scored(files, "one.npy", "one.txt", "--weight", "head.npz")
    assert result["mean_loss"] == pytest.approx(LOSSES[0], rel=1e-12)
    heads = ",".join([*(f"f{n}" for n in range(D)), "label"])
    rows = [",".join([*map(repr, x), str(y)]) for x, y in zip(X.tolist(), Y, strict=True)]
    Path("table.csv").write_text("\n".join([heads, *rows]) + "\n")
    result = scored(files, "table.csv", "--weight", "head.npz")
    assert result["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)
    assert result["classes"] is None  # the columns are features


def test_rows_without_a_loss_are_counted(files):
    x = X.copy()
    x[4, 2], x[9, 0] = np.nan, np.inf
    np.save("x.npy", x)
    code, out, err = files("score", "x.npy", "y.npy", "--weight", "W.npy", "--json")
    assert code == 1
    assert json.loads(out)["invalid"] == 2
    assert "Warning" not in err


def test_memory_is_for_blocks_and_not_for_the_logits(tmp_path):
    """64 MB of logits are held at a time, and as much again in the sums; all of them take 2 GB."""
    classes, features, rows = 50_000, 8, 10_000
    np.save(tmp_path / "x.npy", np.zeros((rows, features), np.float32))
    layer = Linear(np.zeros((classes, features), np.float32), None, "")
    tracemalloc.start()
    with open_logits(tmp_path / "x.npy", linear=layer) as logits:
        result = evaluate(logits, np.zeros(rows, np.int64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.mean_loss == pytest.approx(np.log(classes), rel=1e-6)
    assert peak < 160 << 20


@pytest.mark.parametrize(
    ("key", "bias_key", "says"),
    [
        (None, None, "holds several arrays: a, b, v; name the weight by --weight-key"),
        ("c", None, "has no 'c'; it has: a, b, v"),
        ("v", None, "has shape (3,) for W; (classes, features) fits"),
        ("a", "b", "has shape (2, 3) for the bias; (classes,) fits"),
        ("a", "v", "has a weight of shape (2, 3) and a bias of shape (3,); (2,) fits"),
        ("t", None, "has no 't'"),
    ],
)
def test_wrong_layers_are_one_line(tmp_path, key, bias_key, says):
    path = tmp_path / "layer.npz"
    np.savez(path, a=np.ones((2, 3)), b=np.ones((2, 3)), v=np.ones(3))
    with pytest.raises(FileError) as caught:
        read_linear(path, key=key, bias_key=bias_key)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_states_that_do_not_fit_are_one_line(files):
    np.save("w.npy", W[:, :5])
    fails(
        files("score", "x.npy", "y.npy", "--weight", "w.npy"),
        "x.npy: has shape (300, 16); W of shape (23, 5) needs hidden states of shape (examples, 5)",
    )
    fails(
        files("score", "x.npy", "y.npy", "--weight", "W.npy", "--probabilities"),
        "--weight makes logits: leave out --probabilities",
    )
    fails(files("explain", "1", "2", "--label", "0", "--weight", "W.npy"), "--weight needs a file")
