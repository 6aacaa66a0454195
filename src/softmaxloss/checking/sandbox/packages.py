"""Where a file imports from: its folder, its package, and its repository."""

import importlib.util
import stat
import sys
from pathlib import Path
from types import ModuleType

#: What lies in the root of a repository.
OF_ROOTS = (".git", ".hg", "pyproject.toml", "requirements.txt", "setup.cfg", "setup.py")
MOST_LEVELS = 5  # above the file, to the root
WITHOUT_MARK = 1  # levels, where nothing marks the root


def root_of(path: Path) -> Path:
    """The root of the repository of a file; the folder above its own where nothing marks a root.

    Never the root of the disk, the user's home, a folder above them, or one for temporary files.
    """
    ends = {Path.home(), *Path.home().parents, Path(path.anchor)}
    folders = [path.parent]
    for folder in list(path.parents)[1 : MOST_LEVELS + 1]:
        if folder in ends or folder.stat().st_mode & stat.S_ISVTX:
            break
        folders.append(folder)
    for folder in folders:
        if any((folder / mark).exists() for mark in OF_ROOTS):
            return folder
    return folders[min(WITHOUT_MARK, len(folders) - 1)]


def search_in(path: Path, root: Path) -> None:
    """Let imports find what is beside the file and in the folders up to the root, after all else.

    So a queue.py there does not replace Python's. A folder with a module of its own name comes
    last: `import model.utils` in model/loss.py is of the package, not of model/model.py.
    """
    folders = [*path.parents]
    folders = folders[: folders.index(root) + 1] if root in folders else folders
    folders.sort(key=lambda folder: (folder / f"{folder.name}.py").exists())
    sys.path += map(str, folders)


def complete_paths(path: Path, root: Path) -> None:
    """Folders that a file adds to `sys.path`, such as "python/", as those beside it, or beside a
    folder above it up to the root: it was run in one of these."""
    for k, entry in enumerate(sys.path):
        if entry and not Path(entry).is_absolute():
            folders = [*path.parents]
            above = folders[: folders.index(root) + 1] if root in folders else folders[:1]
            found = (folder / entry for folder in above if (folder / entry).is_dir())
            sys.path[k] = str(next(found, Path(entry)))


def package_of(path: Path, levels: int) -> str:
    """The package of a file whose relative imports go up this many levels; empty without one.

    Folders that are no packages become some, for relative imports; so does a package whose name
    Python or an installed package has.
    """
    folders: list[Path] = []
    for folder in path.parents:
        if not ((folder / "__init__.py").exists() or len(folders) < levels) or not folder.name:
            break
        folders.insert(0, folder)
    if not folders:
        return ""
    sys.path.append(str(folders[0].parent))
    first = folders[0].name
    if not first.isidentifier() or not _is_found_in(folders[0], first):
        first = f"submitted_{''.join(c if c.isalnum() else '_' for c in first)}"
    package = ""
    for folder in folders:
        package = f"{package}.{folder.name.replace('.', '_')}" if package else first
        if not (folder / "__init__.py").exists() or package.startswith("submitted_"):
            made = ModuleType(package)
            made.__path__ = [str(folder)]
            sys.modules[package] = made
    return package


def _is_found_in(folder: Path, name: str) -> bool:
    """Whether an import of this name gives the folder, or nothing."""
    if name in sys.modules:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is None or str(folder) in (spec.submodule_search_locations or ())
