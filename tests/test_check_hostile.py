"""`softmaxloss check` on files that attack it, beside others that it must still check.

The command runs in a process of its own, as it may be ended. What is left behind is looked for
afterwards: processes of its environment, files in its temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.hostile import HOSTILE, TOO_LARGE, is_said
from tests.submissions import RIGHT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a supervisor")

#: The command, with less memory and less patience than usual.
COMMAND = """
import sys
from softmaxloss.checking.sandbox import process
process.MEMORY, process.PATIENCE = 1 << 30, 3
from softmaxloss.cli import main
sys.exit(main(sys.argv[1:]))
"""


def processes_of(mark: str) -> list[int]:
    """The processes in whose environment this variable is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("too_large", "timeout"),
    # To fill the memory may take longer than the limit of those that never end.
    [pytest.param(False, "2", id="files"), pytest.param(True, "30", id="files that fill memory")],
)
def test_hostile_files_cost_the_others_nothing(
    tmp_path: Path, too_large: bool, timeout: str
) -> None:
    cases = [case for case in HOSTILE if (case.said == TOO_LARGE) is too_large]
    files, temporary, mark = tmp_path / "files", tmp_path / "temporary", f"MARK_{uuid.uuid4().hex}"
    files.mkdir()
    temporary.mkdir()
    expected = {}
    for k, case in enumerate(cases):
        expected[f"{k:02} {case.name}"] = case.verdict
        (files / f"{k:02} {case.name}.py").write_text(case.code)
        if k % 3 == 0:  # while it runs, and when it has ended
            expected[f"{k:02} after"] = "right"
            (files / f"{k:02} after.py").write_text(RIGHT)
    before = {path: path.read_bytes() for path in files.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "check", f"{files}:f", "--json", "--timeout", timeout],
        env=os.environ | {mark: "1", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    reports: dict[str, Any] = {Path(one["file"]).stem: one for one in json.loads(done.stdout)}
    said = {f"{k:02} {case.name}": case for k, case in enumerate(cases)}
    wrong = [
        (name, got["verdict"], got["problem"], got["notes"])
        for name, got in reports.items()
        if got["verdict"] != expected[name]
        or (name in said and not is_said(said[name], json.dumps(got)))
    ]
    assert wrong == []
    assert reports.keys() == expected.keys()
    assert {path: path.read_bytes() for path in files.iterdir()} == before
    assert list(temporary.iterdir()) == []
    assert processes_of(mark) == []
