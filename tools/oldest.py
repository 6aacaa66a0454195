"""Prints the oldest versions that pyproject.toml allows, as constraints for pip: `numpy==1.26.0`.

`make test-oldest` installs the package with them: python -m tools.oldest
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def oldest(requirement: str) -> str:
    """The lowest version that a requirement allows.

    >>> oldest("numpy>=1.26")
    'numpy==1.26'
    """
    name, version = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
    return f"{name}=={version}"


if __name__ == "__main__":
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    project = settings["project"]
    optional = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(one for group in optional for one in group)]:
        print(oldest(requirement))
