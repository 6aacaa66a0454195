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
from tests.hostile import HOSTILE, is_said
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


def test_hostile_files_cost_the_others_nothing(tmp_path: Path) -> None:
    files, temporary, mark = tmp_path / "files", tmp_path / "temporary", f"MARK_{uuid.uuid4().hex}"
    files.mkdir()
    temporary.mkdir()
    for k, case in enumerate(HOSTILE):
        (files / f"{k:02} {case.name}.py").write_text(case.code)
        (files / f"{k:02} after.py").write_text(RIGHT)
    before = {path: path.read_bytes() for path in files.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "check", f"{files}:f", "--json", "--timeout", "3"],
        env=os.environ | {mark: "1", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    reports: dict[str, Any] = {Path(one["file"]).stem: one for one in json.loads(done.stdout)}
    wrong = []
    for k, case in enumerate(HOSTILE):
        for name, verdict in (f"{k:02} {case.name}", case.verdict), (f"{k:02} after", "right"):
            got = reports[name]
            said = name.endswith("after") or is_said(case, json.dumps(got))
            if got["verdict"] != verdict or not said:
                wrong.append((name, got["verdict"], got["problem"], got["notes"]))
    assert wrong == []
    assert len(reports) == 2 * len(HOSTILE)
    assert {path: path.read_bytes() for path in files.iterdir()} == before
    assert list(temporary.iterdir()) == []
    assert processes_of(mark) == []
