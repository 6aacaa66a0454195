"""Remake the pictures of the pages: docs/explain-page.png, explain-phone.png and set-page.png.

    python -m docs.screenshots

Needs Chromium and playwright, as do the tests of the page.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from tools.chromium import chromium

from softmaxloss import SetExplanation, explain, explain_set, linear_cross_entropy_with_grad

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
        digits().save_html(file)
        page = browser.new_page(viewport={"width": 920, "height": 1000})
        page.goto(file.as_uri())
        page.screenshot(path=HERE / "set-page.png")
        print("docs/set-page.png")


def digits() -> SetExplanation:
    """The test digits of scikit-learn by a linear classifier that learns them for some steps."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / 16, y, test_size=0.5, random_state=0)
    W = np.zeros((10, 64))
    for _ in range(60):
        _, gradients = linear_cross_entropy_with_grad(x_train, W, y_train)
        W -= 0.5 * gradients.linear_weight
    return explain_set(x_test @ W.T, y_test)


if __name__ == "__main__":
    main()
