"""Remake the pictures of the page: docs/explain-page.png and docs/explain-phone.png.

    python -m docs.screenshots

Needs Chromium and playwright, as do the tests of the page.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools.chromium import chromium

from softmaxloss import explain

HERE = Path(__file__).parent


def main() -> None:
    why = explain([2.0, 1.0, 0.1, -1.2], 2, classes=["cat", "dog", "fox", "owl"])
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "why.html"
        why.save_html(file)
        for name, width, height in (("explain-page", 1180, 700), ("explain-phone", 360, 780)):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(file.as_uri())
            page.screenshot(path=HERE / f"{name}.png")
            print(f"docs/{name}.png")


if __name__ == "__main__":
    main()
