"""`softmaxloss help`: the help of a command, for those who type it as a word."""

from __future__ import annotations  # CompletionItem[…] is new in click

import click
from click.shell_completion import CompletionItem

from .command import ExamplesFirst, write


def _complete(context: click.Context, _: click.Parameter, word: str) -> list[CompletionItem[str]]:
    names = _group(context).list_commands(context)
    return [CompletionItem(name) for name in names if name.startswith(word)]


def _group(context: click.Context) -> click.Group:
    group = context.find_root().command
    assert isinstance(group, click.Group)
    return group


@click.command(
    "help",
    cls=ExamplesFirst,
    short_help="The help of a command.",
    examples="""
    softmaxloss help
    softmaxloss help explain
    """,
)
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=_complete)
@click.pass_context
def show_help(context: click.Context, /, name: str | None) -> None:
    """Show the help of a command, as --help after it does; without a command, of the program."""
    root = context.find_root()
    if name is None:
        write(root.get_help() + "\n")
        return
    _, command, _ = _group(context).resolve_command(root, [name])
    assert command is not None  # else an error was raised
    write(click.Context(command, root, name).get_help() + "\n")
