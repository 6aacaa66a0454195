"""What is written about the package in several places agrees; workflows are pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import softmaxloss

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RECIPE = (ROOT / "recipe" / "recipe.yaml").read_text()


def test_one_version() -> None:
    version = PROJECT["version"]
    assert softmaxloss.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f'\n  version: "{version}"\n' in RECIPE
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_one_address() -> None:
    urls = PROJECT["urls"]
    assert all(url.startswith(urls["Homepage"]) for url in urls.values())
    for text in (RECIPE, (ROOT / "CITATION.cff").read_text()):
        assert urls["Homepage"] in text


def test_the_links_of_the_readme_work_on_a_package_index() -> None:
    """Each is a whole address there; what follows the repository's is a file."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for change in SETTINGS["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]:
        text = re.sub(change["pattern"], change["replacement"], text)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) > 15
    for link in links:
        parts = re.fullmatch(r"https://(?:github|raw)[^/]*/softmaxloss/softmaxloss/(.*)", link)
        assert parts, link
        assert (ROOT / re.sub(r"^(blob/)?main/", "", parts[1]).split("#")[0]).exists(), link
        assert link.endswith(".svg") is link.startswith("https://raw.")


def test_the_recipe_has_the_requirements() -> None:
    for requirement in [*PROJECT["dependencies"], *SETTINGS["build-system"]["requires"]]:
        assert f"- {requirement.replace('>=', ' >=')}\n" in RECIPE
    backend = set(SETTINGS["build-system"]["requires"])
    assert len(backend) == 4


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_and_may_do_little(path: Path) -> None:
    text = path.read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for action in uses:
        pinned = re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", action)
        assert pinned or action.startswith("./.github/workflows/"), action
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    writes = re.findall(r"(\S+): write", text)
    assert writes == (["id-token", "attestations"] if path.name == "release.yml" else [])
    assert "pull_request_target" not in text
