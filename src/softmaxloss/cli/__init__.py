"""The command line. `main` runs it: results on standard output, one line for an error on stderr.

Exit codes: 0 success, 1 a check found a mistake, a mean loss is NaN or some of several files could
not be scored, 2 an error, 130 interrupted, 143 terminated, 129 the terminal was closed.
A new command is one file beside this one and one `add_command` line below.
"""

import contextlib
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..files import FORMATS
from ..text import printable, shorten, shown
from . import check, completion, explain, score
from .command import ExamplesFirst
from .help import show_help
from .numbers import FIRST_NUMBER

INTERRUPTED = 128 + 2  # as shells report a process ended by SIGINT
PIPE_CLOSED = 128 + 13  # SIGPIPE
ENDING = (signal.SIGTERM, signal.SIGHUP)


class Group(ExamplesFirst, click.Group):
    """The commands; the help begins with examples."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            again = shorten(shlex.join(args), 60)
            if FIRST_NUMBER.match(args[0]):
                meant = f"which command? To explain these logits: explain {again}"
            elif args[0].partition(":")[0].endswith(".py"):
                meant = f"which command? To check this code: check {again}"
            elif os.path.exists(args[0]) or Path(args[0]).suffix in FORMATS:
                meant = f"which command? To score this file: score {again}"
            else:
                known = f"commands: {', '.join(self.list_commands(ctx))}"
                if args[0].lower() in self.commands:
                    known = f"did you mean {args[0].lower()}?"
                elif command := self._with_option(f"--{args[0]}"):
                    known = f"{command} has an option --{args[0]}"
                meant = f"no such command {shown(args[0], 40)}; {known}"
            raise click.UsageError(meant, ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if command := self._with_option(error.option_name):
                after = f"{error.option_name} follows the command: {command} … {error.option_name}"
                raise click.UsageError(after, ctx) from None
            raise

    def _with_option(self, name: str) -> str | None:
        """The first command with this option."""
        commands = self.commands.items()
        return next((c for c, known in commands if any(name in p.opts for p in known.params)), None)


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples="""
    softmaxloss explain 2.0 1.0 0.1 -1.2 --label 2
    softmaxloss score logits.npy labels.npy
    softmaxloss check my_loss.py:softmax_loss
    """,
)
@click.version_option(
    None, "-V", "--version", package_name="softmaxloss", message="%(prog)s %(version)s"
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """The softmax cross-entropy loss: explained, computed for a file, checked in your code.

    Results go to standard output, messages to standard error. Exit code 0: success, 1: a check
    found a mistake, a mean loss is NaN or some of several files are bad, 2: an error.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


commands.add_command(explain.explain)
commands.add_command(score.score)
commands.add_command(check.check)
commands.add_command(show_help)
commands.add_command(completion.completion)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line on `args` (default: those of the process) and return the exit code.

    Meanwhile SIGTERM and SIGHUP raise SystemExit, so that unfinished files are removed.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    with _terminating():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    columns = min(shutil.get_terminal_size().columns, 80)
    try:
        if completion.VARIABLE in os.environ:
            return completion.answer(commands)
        with commands.make_context("softmaxloss", arguments, terminal_width=columns - 2) as context:
            commands.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_unwritten()
        return PIPE_CLOSED
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "softmaxloss"
        message = error.format_message().replace("\n\t", " ") + f" (try '{where} --help')"
    except click.ClickException as error:
        message = error.format_message()
    except OSError as error:
        _drop_unwritten()
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
    except MemoryError as error:
        message = f"not enough memory: {error}" if str(error) else "not enough memory"
    except (ValueError, TypeError) as error:
        message = str(error)
    click.echo(f"softmaxloss: error: {printable(message)}", err=True)
    return 2


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, unless a handler is installed already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = [s for s in ENDING if signal.getsignal(s) == signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in ended:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in ended:
            signal.signal(number, signal.SIG_DFL)


def _drop_unwritten() -> None:
    """Discard output that cannot be written: flushing it at exit would fail again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
