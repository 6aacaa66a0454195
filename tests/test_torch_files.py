"""What torch.save writes: read without running code, in blocks, or refused in one line."""

from __future__ import annotations

import os
import pickle
import re
import shlex
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softmaxloss.files import FileError, open_logits, read_labels

LOGITS = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))


def save(path: Path, value: object, **options: object) -> Path:
    torch.save(value, path, **options)  # type: ignore[arg-type]
    return path


def read(path: Path, **options: str) -> np.ndarray:
    with open_logits(path, **options) as logits:
        return np.concatenate([block for _, block in logits.blocks(max_elements=8)])


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(FileError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(
    "value",
    [
        LOGITS,
        LOGITS.clone().requires_grad_(),
        torch.nn.Parameter(LOGITS),
        LOGITS.t().contiguous().t(),
        torch.cat([LOGITS, LOGITS])[7:],
        {"logits": LOGITS, "labels": torch.arange(7), "epoch": 3, "note": "x"},
        {"predictions": LOGITS, "labels": torch.arange(7)},
        (LOGITS,),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_in_every_form(tmp_path: Path, value: object, zipped: bool) -> None:
    path = save(tmp_path / "z.pt", value, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(read(path), LOGITS.numpy())
    with open_logits(path) as logits:
        np.testing.assert_array_equal(logits.row(6), LOGITS[6].numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int8, torch.bfloat16])
def test_dtypes(tmp_path: Path, dtype: torch.dtype) -> None:
    block = read(save(tmp_path / "z.pth", LOGITS.to(dtype)))
    expected = LOGITS.to(dtype)
    assert block.dtype == (np.float32 if dtype is torch.bfloat16 else expected.numpy().dtype)
    np.testing.assert_array_equal(block, expected.double().numpy())


def test_keys_and_labels(tmp_path: Path) -> None:
    path = save(tmp_path / "run.pt", {"a": LOGITS, "b": LOGITS + 1, "label_ids": torch.arange(7)})
    np.testing.assert_array_equal(read(path, key="b"), (LOGITS + 1).numpy())
    np.testing.assert_array_equal(read_labels(path), np.arange(7))
    assert "name the logits by --logits-key" in failure(lambda: read(path))
    assert "has no 'c'; it has: a, b, label_ids" in failure(lambda: read(path, key="c"))
    batches = save(tmp_path / "batches.pt", [LOGITS, LOGITS])
    assert "holds several arrays: 0, 1" in failure(lambda: read(batches))
    one = save(tmp_path / "one.pt", LOGITS)
    assert "holds one tensor, and no names to find 'a' in" in failure(lambda: read(one, key="a"))


class Harmful:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_in_a_file_runs(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "z.pt", {"x": Harmful()}, _use_new_zipfile_serialization=zipped)
    assert "Python objects that are no tensors, which are never loaded" in failure(
        lambda: read(path)
    )
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful()))
    failure(lambda: read(tmp_path / "plain.pt"))
    assert not (tmp_path / "harm").exists()


def test_an_old_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "z.pt", LOGITS)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    assert "needs PyTorch 2.6 or later, this is 2.5.1+cpu" in failure(lambda: read(path))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.nn.Linear(2, 2), "Python objects that are no tensors"),
        (np.ones((2, 2)), "Python objects that are no tensors"),
        ({"epoch": 3}, "holds nothing that could be the logits"),
        (3.5, "holds float; expected a tensor, or tensors by name"),
        (torch.tensor(3.5), "holds a single number"),
        (torch.ones(2, 3, 4), "has shape (2, 3, 4); logits are"),
        (torch.ones(2, 3, dtype=torch.bool), "holds bool; logits are floats or integers"),
        (torch.ones(2, 3, dtype=torch.complex64), "holds complex64; logits are"),
        (torch.ones(2, 3).to(torch.float8_e5m2), "is torch.float8_e5m2, which NumPy does not have"),
        (torch.eye(3).to_sparse(), "is sparse, quantized or without data: save a dense tensor"),
        (torch.ones(2, 3, device="meta"), "is sparse, quantized or without data"),
        (torch.ones(1, 3).expand(10**9, 3), "is (1000000000, 3), more than"),
        (torch.ones(3, 0), "no classes"),
    ],
)
def test_what_is_refused(tmp_path: Path, value: object, says: str) -> None:
    path = save(tmp_path / "z.pt", value)
    assert says in failure(lambda: read(path))


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    whole = save(tmp_path / "z.pt", LOGITS).read_bytes()
    path = tmp_path / "bad.pt"
    for data in (b"x", b"PK\x03\x04", whole[:100], whole[:-100], b"\x80\x02", b"1,2\n3,4\n"):
        path.write_bytes(data)
        assert "bad.pt: is no file of torch.save or is damaged" in failure(lambda: read(path))
    with zipfile.ZipFile(tmp_path / "z.pt") as old, zipfile.ZipFile(path, "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "is compressed, which torch.save never does" in failure(lambda: read(path))


@pytest.mark.parametrize(
    "value",
    [
        LOGITS,
        {"logits": LOGITS.clone().requires_grad_(), "y": torch.arange(7), "epoch": 3},
        {"logits": LOGITS.bfloat16(), "y": torch.arange(7)},
    ],
)
def test_the_line_that_converts_a_file_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    path = save(tmp_path / "logits.pt", value)
    monkeypatch.setitem(sys.modules, "torch", None)
    line = re.search(r"or where it is: python (.*)", failure(lambda: read(path)))
    assert line
    monkeypatch.undo()  # PyTorch is there again
    monkeypatch.chdir(tmp_path)
    option, code = shlex.split(line[1])
    assert option == "-c"
    exec(code, {})  # here: a process of its own would load PyTorch anew
    logits = value["logits"] if isinstance(value, dict) else value
    np.testing.assert_array_equal(read(tmp_path / "logits.npz"), logits.double().detach().numpy())
