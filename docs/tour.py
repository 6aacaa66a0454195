"""Write what examples/tour.py prints into docs/tour.md.

python -m docs.tour
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "tour.md"
SCRIPT = Path(__file__).parent.parent / "examples" / "tour.py"
BEGIN = "<!-- the output of examples/tour.py; `python -m docs.tour` writes it -->\n"
END = "<!-- end -->\n"


def printed(folder: Path | str) -> str:
    """What the tour prints when it runs in a folder, where it leaves its files."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
        cwd=folder,
    )
    return done.stdout.strip()


def written(page: str, output: str) -> str:
    """The page with this output between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}```text\n{output}\n```\n{END}{after}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = printed(folder)
    page = written(PAGE.read_text(encoding="utf-8"), output)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
