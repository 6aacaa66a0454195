"""Tab completion in real shells, which are skipped where they are not installed."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from softmaxloss.cli import commands

PROGRAMS = Path(sys.executable).parent

# Each shell without the files of its user, with a prompt that can be waited for.
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SETUP = {
    "bash": "PS1='>''> '; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; "
    "bind 'set enable-bracketed-paste off'; bind 'set page-completions off'; "
    'eval "$(softmaxloss completion bash)"\n',
    "zsh": "unsetopt zle_bracketed_paste prompt_cr prompt_sp beep; PROMPT='>''> '; "
    "autoload -U compinit; compinit -D -u; zstyle ':completion:*' list-colors; LISTMAX=999; "
    'eval "$(softmaxloss completion zsh)"\n',
}
PROMPT = ">> "


class Shell:
    """An interactive shell in a terminal of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TERM": "dumb"}
            os.environ |= {"COLUMNS": "200", "LINES": "50", "HOME": str(folder)}
            os.execvp(START[name][0], START[name])
        self.type(SETUP[name])
        self.read(PROMPT)

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def read(self, until: str, seconds: float = 10.0) -> str:
        """What is shown up to a text. It fails if that does not come."""
        shown, end = "", time.monotonic() + seconds
        while until not in shown:
            ready, _, _ = select.select([self.terminal], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {until!r} in {shown!r}")
            shown += os.read(self.terminal, 1 << 16).decode(errors="replace")
        return shown

    def complete(self, line: str) -> tuple[list[str], str]:
        """The words of the line after Tab, as the shell reads them, and what it showed meanwhile.
        The line is run with a command in front of it that prints its words."""
        self.type(f"{line}\t\x01printf '<%s>' \x05 end\n")
        shown = self.read(f"<end>{PROMPT}")
        printed = shown.splitlines()[-1]
        return re.findall(r"<([^<>]*)>", printed)[:-1], shown

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


@pytest.fixture(params=list(START), scope="module")
def shell(request, tmp_path_factory):
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "my logits.npy", np.eye(3))
    (folder / "names.csv").write_text("cat,new york,[fox]\n1,2,3\n")
    (folder / "fox").write_text("")  # a file that is called like a class
    opened = Shell(request.param, folder)
    yield opened
    opened.close()


NAMES = '--classes "cat,dog,new york,[fox],don\'t"'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ex", ["explain"]),
        ("completion b", ["completion", "bash"]),
        ("help sc", ["help", "score"]),
        ("explain 2 -1.2 --cl", ["explain", "2", "-1.2", "--classes"]),
        ("explain --lab", ["explain", "--label"]),  # and --labels
        ("check --kind so", ["check", "--kind", "softmax"]),
        ("check --explain no-ex", ["check", "--explain", "no-exp"]),
        ("explain --ask others-l", ["explain", "--ask", "others-learn"]),
        ("score my", ["score", "my logits.npy"]),
        ("explain --file na", ["explain", "--file", "names.csv"]),
        ("explain 2 1 --classes cat,dog --label d", ["--label", "dog"]),
        ("explain 2 1 --classes cat,dog --label=d", ["--label=dog"]),
        ("explain 2 1 --classes=cat,dog --label d", ["--classes=cat,dog", "--label", "dog"]),
        (f"explain {NAMES} --label n", ["--label", "new york"]),
        (f"explain {NAMES} --label '[", ["--label", "[fox]"]),
        (f"explain {NAMES} --label cat,d", ["--label", "cat,do"]),  # dog and don't
        (f"explain {NAMES} --label cat,dog,n", ["--label", "cat,dog,new york"]),
        ("explain --file names.csv --row 0 --label ne", ["--label", "new york"]),
    ],
)
def test_tab_completes_what_can_follow(shell, line, words):
    completed, _ = shell.complete(f"softmaxloss {line}")
    assert completed[0] == "softmaxloss"
    assert completed[-len(words) :] == words


def test_tab_lists_what_can_follow(shell):
    _, shown = shell.complete("softmaxloss ")
    for name in commands.commands:
        assert name in shown
    _, shown = shell.complete("softmaxloss explain 2 1 --label")
    assert "--labels-key" in shown
    _, shown = shell.complete(f"softmaxloss explain {NAMES} --label d")
    assert "dog" in shown.partition("--label d")[2]
    assert "don" in shown.partition("--label d")[2]


IN_FISH = {
    "ex": ["explain"],
    "explain --lab": ["--label", "--labels", "--labels-key"],
    "check --kind loss": ["loss", "loss+gradient"],
    "score x.npy na": ["names.csv"],
    "explain 2 1 --classes cat,dog --label d": ["dog"],
    "explain 2 1 --classes cat,dog --label=d": ["--label=dog"],
    "explain --classes 'cat,new york' --label cat,n": ["cat,new york"],
}


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_tab_completes_in_fish(tmp_path):
    (tmp_path / "names.csv").write_text("")
    script = (
        "softmaxloss completion fish | source; "
        "for line in $argv; complete --do-complete $line; echo end; end"
    )
    done = subprocess.run(
        ["fish", "--no-config", "--command", script, *(f"softmaxloss {line}" for line in IN_FISH)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(tmp_path)},
    )
    found = [
        [item.partition("\t")[0] for item in part.splitlines()]
        for part in done.stdout.split("end\n")[:-1]
    ]
    assert dict(zip(IN_FISH, found, strict=True)) == IN_FISH
