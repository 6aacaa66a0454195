"""The cases of semantics.json, and the arguments of the call that each one describes.

A case names its row in docs/semantics.md, its inputs and what to expect. A field that may hold a
list of alternatives stands for one case for each alternative.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Case = dict[str, Any]

PATH = Path(__file__).parent / "semantics.json"


def load() -> list[Case]:
    """The cases as the file has them, lists of alternatives included."""
    cases: list[Case] = json.loads(PATH.read_text(encoding="utf-8"))
    return cases


def expanded(case: Case) -> Iterator[Case]:
    """One case for each combination of the alternatives."""
    fields = [("target_dtype",), ("logits_dtype",), ("layout",), ("target_layout",)]
    fields += [("options", name) for name in ("reduction", "denominator", "label_smoothing")]
    choices = []
    for *path, last in fields:
        holder = case.get(path[0], {}) if path else case
        if isinstance(holder.get(last), list):
            choices.append([(path, last, value) for value in holder[last]])
    for chosen in itertools.product(*choices):
        one = {**case, "options": dict(case.get("options", {}))}
        for path, last, value in chosen:
            (one[path[0]] if path else one)[last] = value
            one["name"] += f", {last} {value}"
        yield one


def wants_error(case: Case) -> bool:
    return "error" in case.get("expect", {})


def arguments(case: Case, dtype: str) -> tuple[Any, Any, dict[str, Any]]:
    """Logits, target and options of the call, with the arrays in the case's dtypes and layouts."""
    logits = build(case["logits"], case.get("logits_dtype", dtype))
    if case.get("python_target"):
        target = case["target"]
    else:
        flat = str(case["target"])
        floats = "." in flat or isinstance(case["target"], dict)
        target = build(case["target"], case.get("target_dtype", dtype if floats else "int64"))
    if "layout" in case:
        logits = arranged(logits, case["layout"])
    if "target_layout" in case:
        target = arranged(target, case["target_layout"])
    options = dict(case.get("options", {}))
    for name in {"weight", "sample_weight"} & set(options):
        given = np.array(options[name])
        options[name] = (given if given.dtype.kind == "i" else given.astype(float)).tolist()
    for name, value in options.items():
        if value in ("nan", "inf"):
            options[name] = float(value)
    return logits, target, options


def build(spec: Any, dtype: str) -> Any:
    """The array that a spec describes: nested lists, or a shape, a fill value and exceptions."""
    if dtype == "as is":
        return spec
    if dtype in ("str", "object"):
        return np.array(spec, dtype=object if dtype == "object" else None)
    if dtype == "masked":
        return np.ma.masked_greater(spec, 1.0)
    if dtype == "bfloat16":
        return build(spec, "float64").astype(ml_dtypes.bfloat16)
    if isinstance(spec, dict):
        array = np.full(spec["shape"], float(spec["fill"])).astype(dtype)
        for *index, value in spec.get("at", []):
            array[tuple(index)] = float(value)
        return array
    integers = np.dtype(dtype).kind in "iu"
    return np.array(spec, dtype=dtype if integers else None).astype(dtype)


def arranged(array: Array, layout: str) -> Array:
    """The same numbers in another memory layout."""
    match layout:
        case "contiguous":
            return array
        case "strided classes":
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "strided rows":
            return np.repeat(array, 3, axis=0)[::3]
        case "padded rows":
            return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(1, 2)])[..., 1:-2]
        case "transposed":
            return np.ascontiguousarray(array.swapaxes(0, -1)).swapaxes(0, -1)
        case "reversed":
            return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
        case "reversed rows":
            return np.ascontiguousarray(array[::-1])[::-1]
        case "read-only":
            copy = array.copy()
            copy.setflags(write=False)
            return copy
        case "misaligned":
            data = np.zeros(array.nbytes + 1, np.uint8)
            view = data[1:].view(array.dtype).reshape(array.shape)
            view[...] = array
            return view
        case "Fortran order":
            return np.asfortranarray(array)
        case "byte-swapped":
            return array.astype(array.dtype.newbyteorder())
        case "broadcast":
            return np.broadcast_to(array[:1], array.shape)
        case "broadcast classes":
            return np.broadcast_to(array[:, :1], array.shape)
    raise ValueError(layout)
