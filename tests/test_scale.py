"""The code in docs/scale.md: Totals carried by other engines, against `score` of the whole set."""

from __future__ import annotations

import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softmaxloss import score
from softmaxloss.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
RNG = np.random.default_rng(1)
Z, Y = RNG.normal(0.0, 3.0, (10_000, 5)), RNG.integers(0, 5, 10_000)


def mean_loss(z: np.ndarray) -> float:
    """The mean of the losses, which are summed exactly."""
    return math.fsum(score(z, Y).loss.tolist()) / len(Y)


def block(library: str) -> str:
    """The block of the page that imports a library."""
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [code for code in found if re.search(rf"^(import|from) {library}\b", code, re.M)]
    return code


def run(folder: Path, code: str) -> str:
    """What the code prints, as a script in this folder."""
    (folder / "script.py").write_text(code)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def missing(name: str) -> bool:
    return importlib.util.find_spec(name) is None


@pytest.mark.skipif(missing("datasets"), reason="needs Hugging Face datasets")
def test_datasets(tmp_path, monkeypatch, capsys):
    code = (
        "import numpy as np; from datasets import Dataset; d = np.load('d.npz')\n"
        "rows = Dataset.from_dict({'logits': d['z'].tolist(), 'label': d['y'].tolist()})\n"
        "rows.save_to_disk('scored', num_shards=3)\n"
    )
    np.savez(tmp_path / "d.npz", z=Z, y=Y)
    run(tmp_path, code)
    assert float(run(tmp_path, block("datasets"))) == mean_loss(Z.astype(np.float32))
    monkeypatch.chdir(tmp_path)
    assert main(["score", "scored/*.arrow"]) == 0
    assert capsys.readouterr().out.startswith("3 files: 10000 examples, 5 classes")


@pytest.mark.skipif(missing("ray"), reason="needs Ray")
def test_ray(tmp_path):
    (tmp_path / "scored").mkdir()
    for number, start in enumerate(range(0, 10_000, 2500)):
        part = slice(start, start + 2500)
        table = pa.table({"logits": Z[part].tolist(), "label": Y[part]})
        pq.write_table(table, tmp_path / "scored" / f"{number}.parquet")
    assert float(run(tmp_path, block("ray")).splitlines()[-1]) == mean_loss(Z)
