"""`softmaxloss completion`: a script for a shell that completes the command line with Tab.

click finds out what can follow: the script calls the program with `VARIABLE` set, and `answer`
prints it. The scripts for bash and fish are ours, because those of click break names apart that
have a space, a comma or a pattern in them.
"""

from __future__ import annotations  # CompletionItem[…] is new in click

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
)

from . import command

VARIABLE = "_SOFTMAXLOSS_COMPLETE"


class Joined(ShellComplete):
    """An option and its value in one word, --label=fox."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        items = super().get_completions(args, incomplete)
        option, joined, _ = incomplete.partition("=")
        if joined and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


class Bash(Joined, BashComplete):
    """Readline quotes what needs it, as it does file names. An = is a word of its own in bash."""

    source_template = """\
# Tab completion of %(prog_name)s, for bash 4.4 or newer.
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                [[ $value == *[^[:alnum:]_.,=-]* ]] && compopt -o filenames
                COMPREPLY+=("$value")
                ;;
        esac
    done < <(
        IFS=$'\\n'
        COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
            %(complete_var)s=bash_complete "$1" 2> /dev/null
    )
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        return [word for word in words if word != "="], incomplete


class Fish(Joined, FishComplete):
    """A name may have commas in it."""

    source_template = """\
# Tab completion of %(prog_name)s, for fish.
function %(complete_func)s
    for item in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \
COMP_CWORD=(commandline -t) %(prog_name)s)
        set -l part (string split --max 1 , -- $item)
        switch $part[1]
            case dir
                __fish_complete_directories (commandline -t)
            case file
                __fish_complete_path (commandline -t)
            case plain
                echo $part[2]
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class Zsh(Joined, ZshComplete):
    """The script is that of click."""


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@click.command(
    cls=command.ExamplesFirst,
    short_help="A script for Tab completion in a shell.",
    examples="""
    eval "$(softmaxloss completion bash)"       # in ~/.bashrc
    eval "$(softmaxloss completion zsh)"        # in ~/.zshrc, after compinit
    softmaxloss completion fish | source        # in ~/.config/fish/config.fish
    """,
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print a script that makes the shell complete softmaxloss with Tab.

    Tab then completes commands, options and their values, file names, and after --label the class
    names of --classes or of the --file. To keep it, add the line of the example to the file of your
    shell.
    """
    root = context.find_root().command
    command.write(SHELLS[shell](root, {}, "softmaxloss", VARIABLE).source())


def answer(root: click.Command) -> int:
    """Print what can follow, for the script of a shell; return the exit code."""
    shell, _, what = os.environ[VARIABLE].partition("_")
    if shell not in SHELLS or what != "complete":
        return 1
    click.echo(SHELLS[shell](root, {}, "softmaxloss", VARIABLE).complete().encode())
    return 0
