"""Which statements of a module a function needs: its definitions, and not the training after them.

What a function uses is read from the names in it, and in what these stand for, and so on.
"""

import ast
import dis
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import NamedTuple

from .source import Parsed

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

#: Calls that set something up for the code that follows, by the ends of their names.
SETUP = (
    "path.append", "path.insert", "path.extend", "filterwarnings", "simplefilter", "seterr",
    "set_default_dtype", "set_default_tensor_type", "setrecursionlimit", "config.update",
    "enable_eager_execution", "install_aliases",
)  # fmt: skip
#: Packages that take long to import and change nothing for a function that does not name them. Not
#: those of arrays: a function may take a tensor without naming its package.
SLOW_TO_IMPORT = {
    "IPython", "cv2", "keras", "matplotlib", "nltk", "pandas", "plotly", "pylab", "scipy",
    "seaborn", "skimage", "sklearn", "tensorflow", "torchvision", "transformers",
}  # fmt: skip
#: The instructions that read a name of the module.
READS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}


class Step(NamedTuple):
    """A statement of the module, and whether it is run.

    It is `needed` if what is wanted needs it. Definitions are run as well.
    """

    parsed: Parsed
    statement: ast.stmt
    run: bool
    needed: bool
    is_definition: bool


def steps_of(modules: Sequence[Parsed], wanted: str | None) -> list[Step]:
    """The statements in their order; None: everything is wanted."""
    statements = [(parsed, one) for parsed in modules for one in parsed.tree.body]
    imported = {name for _, one in statements if _is_import(one) for name in bound_by(one)}
    defined = {one.name for _, one in statements if isinstance(one, Definition)}
    made = [(_made_by(one, imported, defined), one) for _, one in statements]
    needed = _needed(made, wanted)
    steps = []
    for (names, one), (parsed, _) in zip(made, statements, strict=True):
        is_needed = wanted is None or bool(names & needed)
        if _is_main(one):
            steps.append(Step(parsed, one, False, False, True))
        elif _is_slow_import(one):
            run = is_needed or bound_by(one) == {"*"}
            steps.append(Step(parsed, one, run, is_needed, True))
        else:
            is_definition = _is_definition(one)
            steps.append(Step(parsed, one, is_needed or is_definition, is_needed, is_definition))
    return steps


def bound_by(statement: ast.stmt) -> set[str]:
    """The names that a statement binds in the module."""
    found: set[str] = set()
    for node in _at_top_level(statement):
        if isinstance(node, Definition):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return found


def _made_by(statement: ast.stmt, imported: set[str], defined: set[str]) -> set[str]:
    """The names that a statement binds, or whose objects it changes: `Layer.forward = forward`.

    What is defined as a function remains one: `f = jit(f)` makes it, `f = g(x)` does not.
    """
    changed, passed, within = set(), set(), set()
    for node in _at_top_level(statement):
        match node:
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
                changed.add(_root(node))
            case ast.Call(args=arguments):
                passed |= {one.id for one in arguments if isinstance(one, ast.Name)}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                within.add(name)
            case ast.ClassDef(name=name):
                within.add(name)
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):  # layers.append(…)
            changed |= {_root(function)} - imported
    return changed | (bound_by(statement) - (defined - within - passed))


def _needed(made: list[tuple[set[str], ast.stmt]], wanted: str | None) -> set[str]:
    """The names that the wanted one needs, with itself."""
    needed: set[str] = set()
    waiting = [] if wanted is None else [wanted]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [used for names, one in made if name in names for used in _names_in(one)]
    return needed


def _names_in(statement: ast.stmt) -> set[str]:
    """The names of the module that a statement reads, in functions too; parameters are none."""
    try:
        code = compile(ast.Module([statement], []), "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    found, waiting = set(), [code]
    while waiting:
        one = waiting.pop()
        waiting += [constant for constant in one.co_consts if isinstance(constant, CodeType)]
        found |= {i.argval for i in dis.get_instructions(one) if i.opname in READS}
    return found


def _is_definition(statement: ast.stmt) -> bool:
    """Whether it imports, defines, or sets something without calling anything."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Pass():
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return True
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            return not _calls(statement)
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call() as call):
            name = ast.unparse(call.func)
            return name.endswith(SETUP) or name.startswith("get_ipython()")
        case ast.If(test=test):
            return not _calls(test) and _all_define(statement.body + statement.orelse)
        case ast.Try():
            bodies = [handler.body for handler in statement.handlers]
            bodies += [statement.body, statement.orelse, statement.finalbody]
            # What it does about a package that is not installed is not its business.
            return all(map(_all_define, bodies)) or _all_define(statement.body)
        case _:
            return False


def _all_define(body: list[ast.stmt]) -> bool:
    return all(map(_is_definition, body))


def _calls(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Call) for one in _at_top_level(node))


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _is_slow_import(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    elif isinstance(statement, ast.ImportFrom) and not statement.level:
        names = [statement.module or ""]
    else:
        return False
    return all(name.partition(".")[0] in SLOW_TO_IMPORT for name in names)


def _is_main(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`"""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _root(node: ast.AST) -> str:
    """The first name of `a.b[c].d`; empty if it is another expression."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _at_top_level(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all within it, but not the bodies of functions and classes."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if not isinstance(one, Definition | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(one))
