"""The modules of the user's files: which of their statements are run, and what if one fails.

Whatever the file does beside defining the function is left out: training, plots, reading data,
questions to the user. What fails and is not needed costs nothing. The notes say both.
"""

import __future__

import ast
import builtins
import contextlib
import importlib
import importlib.util
import linecache
import re
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ...text import few, first_line
from ..calling.places import error_line
from . import substitutes
from .absent import Absent, AbsentModule, AbsentModules, AbsentSoftmax, unbound_names
from .budget import Budget
from .definitions import Step, bound_by, steps_of
from .packages import complete_paths, package_of, root_of, search_in
from .python2 import NAMES
from .source import LoadError, Parsed, parse, parts_of, place

MODULE = "submission"
OURS = Path(__file__).parents[2]  # this library
MOST_NOTES = 8
NEAR = 3  # lines between statements that are listed as one place
AFTERWARDS = 1.0  # seconds for each statement when the time for all is spent


class TooLongError(BaseException):
    """The statement is stopped; no `except Exception` of the user's catches it."""


class UserModules:
    """The file that is checked, and the user's modules that it imports.

    Attributes:
        notes: What was converted, left out, or is not here; a line each.
        failed: The problem with each name of the file that could not be made.
    """

    def __init__(self, main: Path, seconds: float) -> None:
        self.main = main
        self.wanted = ""
        self.root = root_of(main)
        self.running = 0  # statements, one within another
        self.budget = Budget(seconds, AFTERWARDS, self._stop)
        self.notes: list[str] = []
        self.failed: dict[str, str] = {}
        self.left_out: list[Step] = []
        self.known: dict[Path, list[Parsed]] = {}
        self.trees: dict[str, ast.AST] = {}  # by the names of files and cells
        self.absent = AbsentModules(self.trees.get)

    def load(self, wanted: str) -> ModuleType:
        """The module of the file, with what the wanted name needs.

        Raises LoadError if the file cannot be read.
        """
        self.wanted = wanted
        parsed = self._parsed(self.main)
        self._let_python_find_them()
        module = self._module(parsed)
        if not hasattr(module, wanted) and self.left_out and _may_make(parsed, wanted):
            self.notes.clear()
            self.run(module, self._parsed(self.main), None)
        elif self.left_out:
            self.notes.append(f"not run, as {wanted} does not need it: {_lines(self.left_out)}")
        absent = [one for one in self.absent.found if not _within(one, self.absent.found)]
        if absent:
            self.notes.append(f"neither installed nor beside the file: {', '.join(absent)}")
        if self.absent.as_numpy:
            self.notes.append(f"NumPy stands for: {', '.join(self.absent.as_numpy)}")
        if any(isinstance(one, AbsentSoftmax) for one in vars(module).values()):
            self.notes.append("its softmax is not here: for one example, a right one stands for it")
        self.budget.end()
        self.notes = list(dict.fromkeys(self.notes))[:MOST_NOTES]
        return module

    def _module(self, parsed: Sequence[Parsed]) -> ModuleType:
        """The module of the file in its package, or without one."""
        imports = [n for one in parsed for n in ast.walk(one.tree) if isinstance(n, ast.ImportFrom)]
        package = package_of(self.main, max((one.level for one in imports), default=0))
        name = f"{package}.{self.main.stem}" if package else MODULE
        if package:
            try:
                importlib.import_module(package)  # runs its __init__.py
            except (Exception, SystemExit) as error:
                self.notes.append(f"{package}: {error_line(error)}")
        found = sys.modules.get(name)
        if found is not None and getattr(found, "__file__", None) == str(self.main):
            return found
        loader = UserLoader(name, str(self.main), self)
        spec = ModuleSpec(name, loader, origin=str(self.main))
        spec.has_location = True
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        return module

    def _let_python_find_them(self) -> None:
        """Imports find the user's modules, after all others, and this class runs them."""
        sys.argv = [str(self.main)]
        search_in(self.main, self.root)
        sys.meta_path.append(self.absent)
        find = FileFinder.path_hook(
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (lambda name, path: UserLoader(name, path, self), [".py"]),  # type: ignore[arg-type]
        )

        def hook(folder: str) -> Any:
            if not self._is_users(folder):
                raise ImportError
            return find(folder)

        sys.path_hooks.insert(0, hook)
        for folder in filter(self._is_users, list(sys.path_importer_cache)):
            del sys.path_importer_cache[folder]

    def _is_users(self, folder: str) -> bool:
        path = Path(folder)
        installed = (OURS, Path(sys.prefix), Path(sys.base_prefix))
        return path.is_relative_to(self.root) and not any(map(path.is_relative_to, installed))

    def _parsed(self, path: Path) -> list[Parsed]:
        """The statements of a file. A cell of a notebook that is no Python is left out."""
        if path in self.known:
            return self.known[path]
        found: list[Parsed] = []
        for part in parts_of(path):
            try:
                found.append(parse(part))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                if path.suffix != ".ipynb":
                    raise LoadError(error_line(error)) from None
                self.notes.append(f"left out, as it is no Python: {first_line(error)}")
                continue
            lines = found[-1].part.text.splitlines(keepends=True)
            linecache.cache[part.name] = (len(lines), None, lines, part.name)
            self.trees[part.name] = found[-1].tree
        if path == self.main:
            self.notes += [one.note for one in found if one.note][:1]
            self.notes += [line for one in found for line in substitutes.used(one.tree)]
        self.known[path] = found
        return found

    def run_file(self, module: ModuleType, path: Path) -> None:
        """Run a file as a module: all of it, but of the file that is checked what is needed."""
        parsed = self._parsed(path)
        self.run(module, parsed, self.wanted if path == self.main else None)

    def run(self, module: ModuleType, modules: Sequence[Parsed], wanted: str | None) -> None:
        """Run the statements that are wanted; None: all."""
        if any(one.is_python2 for one in modules):
            vars(module).update(NAMES)
        imports = [one for parsed in modules for one in parsed.tree.body]
        postponed = any(
            isinstance(one, ast.ImportFrom)
            and one.module == "__future__"
            and any(alias.name == "annotations" for alias in one.names)
            for one in imports
        )
        flags = __future__.annotations.compiler_flag if postponed else 0
        self._import_usual_names(module, modules)
        steps = steps_of(modules, wanted)
        for step in steps:
            if step.run:
                before = None if wanted is None else vars(module).get(wanted)
                complete_paths(Path(str(module.__file__)), self.root)
                problem = self._run_statement(module, step.statement, step.parsed.part.name, flags)
                # That a stand-in is used is said if the function is not found, or uses it too.
                if problem and step.needed and "it uses" not in problem:
                    self.notes.append(problem)
                if callable(before) and not callable(vars(module).get(str(wanted))):
                    setattr(module, str(wanted), before)  # softmax = softmax(scores)
        if wanted is not None:
            self.left_out = [one for one in steps if not one.run and not one.is_definition]

    def _import_usual_names(self, module: ModuleType, modules: Sequence[Parsed]) -> None:
        """Import what a file means by a usual name that nothing in it binds: a part of a longer
        file, or of a notebook, has lost its imports."""
        tree = ast.Module([one for parsed in modules for one in parsed.tree.body], [])
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        bound = {name for one in imports for name in bound_by(one)}
        if "*" in bound:
            return
        self._import_usual(module, unbound_names(tree, {*bound, *vars(module)}))

    def _import_usual(self, module: ModuleType, names: set[str]) -> None:
        """Import those of the names that are usual ones."""
        for name in sorted(names & {*substitutes.USUAL}):
            source = substitutes.USUAL[name]
            with contextlib.suppress(ImportError):
                setattr(module, name, importlib.import_module(source))
                if module.__file__ == str(self.main):
                    self.notes.append(f"added, as the file uses it: import {source} as {name}")

    def _run_statement(self, module: ModuleType, statement: ast.stmt, name: str, flags: int) -> str:
        """Run a statement. If it fails, stand-ins take the names that it would have bound, and the
        problem is returned."""
        self._leave_out_absent_decorators(statement, module)
        tree, problem, why = ast.Module([statement], []), "", ""
        # Imports are not stopped: what is installed may take long. The user's modules are.
        stoppable = not isinstance(statement, ast.Import | ast.ImportFrom)
        try:
            self.running += stoppable
            exec(compile(tree, name, "exec", flags, dont_inherit=True), vars(module))
        except (Exception, SystemExit, TooLongError) as error:
            problem = _problem(error, name, statement.lineno)
            why = getattr(error, "why_of_others", f"which could not be made: {problem}")
        finally:
            self.running -= stoppable
        if isinstance(statement, ast.ImportFrom):
            if statement.names[0].name == "*":
                self._stand_in_for_star(module, statement, problem)
                return problem
            if problem and len(statement.names) > 1:
                singles = [
                    ast.ImportFrom(statement.module, [alias], statement.level)
                    for alias in statement.names
                ]
                for one in singles:
                    ast.fix_missing_locations(ast.copy_location(one, statement))
                found = [self._run_statement(module, one, name, flags) for one in singles]
                return "; ".join(filter(None, found))
            moved = substitutes.moved(f"{statement.module}.{statement.names[0].name}")
            if problem and moved is not None:
                vars(module).update(dict.fromkeys(bound_by(statement), moved))
                return ""
        if problem:
            unbound = bound_by(statement) - set(vars(module))
            self._stand_in(module, unbound, why)
            if module.__file__ == str(self.main):
                self.failed |= dict.fromkeys(unbound, problem)
        return problem

    def _stop(self, problem: str) -> None:
        """Stop the statement that runs."""
        if self.running:
            raise TooLongError(problem)

    def _stand_in_for_star(
        self, module: ModuleType, statement: ast.ImportFrom, problem: str
    ) -> None:
        """Where a star import gave nothing: stand-ins for all names that nothing binds."""
        source = "." * statement.level + (statement.module or "")
        absolute = importlib.util.resolve_name(source, module.__package__ or "")
        found = sys.modules.get(absolute)
        if isinstance(found, AbsentModule) and absolute not in substitutes.MODULES:
            problem = "there is no such module"
        if problem:
            known = {*vars(module), *vars(builtins)}
            file = str(module.__file__)
            trees = [tree for name, tree in self.trees.items() if name.startswith(file)]
            unbound = {name for tree in trees for name in unbound_names(tree, known)}
            self._import_usual(module, unbound)
            unbound -= {*vars(module)}
            self._stand_in(module, unbound, f"which it expects from {source}: {problem}")

    def _stand_in(self, module: ModuleType, names: set[str], why: str) -> None:
        for name in names:
            setattr(module, name, Absent(name, why))

    def _leave_out_absent_decorators(self, statement: ast.stmt, module: ModuleType) -> None:
        """A function is what it says without a decorator that is not here."""
        for node in ast.walk(statement):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            for decorator in list(node.decorator_list):
                text = ast.unparse(decorator)
                root = vars(module).get(re.split(r"\W", text)[0])
                is_known = isinstance(root, AbsentModule) and root.__name__ in substitutes.MODULES
                if isinstance(root, Absent | AbsentModule) and not is_known:
                    node.decorator_list.remove(decorator)
                    self.notes.append(f"the decorator @{text} was left out: it is not here")


class UserLoader(Loader):
    """Loads a module of the user's."""

    def __init__(self, name: str, path: str, files: UserModules) -> None:
        self.name, self.path, self.files = name, path, files

    def exec_module(self, module: ModuleType) -> None:
        """Run the file; statements that fail are left out."""
        try:
            self.files.run_file(module, Path(self.path))
        except LoadError as error:
            raise ImportError(str(error)) from None

    def place(self, filename: str, line: int) -> str:
        """How a line is called in messages."""
        of = "" if self.path == str(self.files.main) else f" of {Path(self.path).name}"
        return f"{place(filename, line)}{of}"


def _problem(error: BaseException, name: str, line: int) -> str:
    """The error of a statement, with its place."""
    text = error_line(error)
    if isinstance(error, TooLongError):
        text = str(error)
    if isinstance(error, SystemExit):
        text = f"it called sys.exit: {first_line(error)}"
    if isinstance(error, ImportError):
        text = re.sub(r" \([^()]*/[^()]*\)", "", text)  # the path of the module
    return text if re.search(r"\(line [^()]*\)$", text) else f"{text} ({place(name, line)})"


def _may_make(modules: Sequence[Parsed], wanted: str) -> bool:
    """Whether the file may make a name in a way that cannot be read from it."""
    for parsed in modules:
        for node in ast.walk(parsed.tree):
            if isinstance(node, ast.Name) and node.id in ("exec", "globals", "setattr", "vars"):
                return True
            if isinstance(node, ast.Constant) and node.value == wanted:
                return True
    return False


def _within(name: str, others: Sequence[str]) -> bool:
    return any(name.startswith(f"{other}.") for other in others)


def _lines(steps: Sequence[Step]) -> str:
    """The lines of statements, of the first few: "lines 3–8, line 12, line 3 of cell 4, …"."""
    spans: list[tuple[str, int, int]] = []
    for parsed, statement, *_ in steps:
        name, first, last = parsed.part.name, statement.lineno, statement.end_lineno or 0
        if spans and spans[-1][0] == name and first <= spans[-1][2] + NEAR:
            first = spans.pop()[1]
        spans.append((name, first, last))
    ends = [(place(name, last), first, last) for name, first, last in spans]
    return few([
        text if first == last else text.replace("line ", f"lines {first}–", 1)
        for text, first, last in ends
    ], 4)  # fmt: skip
