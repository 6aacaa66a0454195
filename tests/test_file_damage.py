"""Damaged files of every format: `FileError`, whatever the damage, and never another error."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from tests.test_file_text import PACKERS

from softmaxloss.files import FORMATS, FileError, open_logits, read_target

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(20, 3))
LABELS = RNG.integers(0, 3, 20)


def write(path: Path) -> None:
    arrays = {"logits": LOGITS, "labels": LABELS}
    records = [
        {"logits": z, "labels": int(y)} for z, y in zip(LOGITS.tolist(), LABELS, strict=True)
    ]
    lines = [
        "a,b,c,labels",
        *(f"{a},{b},{c},{y}" for (a, b, c), y in zip(LOGITS, LABELS, strict=True)),
    ]
    match path.suffix:
        case ".npy":
            np.save(path, LOGITS)
        case ".npz":
            np.savez_compressed(path, **arrays)
        case ".csv" | ".txt":
            path.write_text("\n".join(lines))
        case ".tsv":
            path.write_text("\n".join(lines).replace(",", "\t"))
        case ".json":
            path.write_text(json.dumps(records))
        case ".jsonl":
            path.write_text("\n".join(map(json.dumps, records)))
        case ".parquet":
            pq.write_table(pa.table({"logits": LOGITS.tolist(), "labels": LABELS}), path)
        case ".arrow":
            table = pa.table({"logits": LOGITS.tolist(), "labels": LABELS})
            with pa.ipc.new_file(str(path), table.schema) as file:
                file.write_table(table)
        case ".safetensors":
            safetensors.numpy.save_file(arrays, path)
        case ".pt" | ".pth":
            torch.save({k: torch.from_numpy(a) for k, a in arrays.items()}, path)
        case _:
            plain = path.with_suffix("")
            write(plain)
            path.write_bytes(PACKERS[path.suffix[1:]](plain.read_bytes()))


@pytest.mark.parametrize("suffix", [*FORMATS, *(f".csv.{packing}" for packing in PACKERS)])
def test_damage_raises_file_error_only(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"d{suffix}"
    write(path)
    whole = path.read_bytes()
    random = np.random.default_rng(zlib.crc32(suffix.encode()))
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        match random.integers(4):
            case 0:
                del data[random.integers(len(data)) :]
            case 1:
                for place in random.integers(len(data), size=random.integers(1, 4)):
                    data[place] = random.integers(256)
            case 2:
                place = random.integers(len(data))
                data[place:place] = random.bytes(random.integers(1, 9))
            case 3:
                place = random.integers(len(data))
                del data[place : place + random.integers(1, 9)]
        path.write_bytes(data)
        try:
            with open_logits(path) as logits:
                for _, block in logits.blocks(max_elements=9):
                    assert block.ndim == 2
            read_target(path, classes=["a", "b", "c"])
        except FileError as error:
            refused += 1
            message = str(error)
            assert message.isprintable()
            assert message.startswith(str(path))
            assert len(message) < 1000
    assert refused > 20
