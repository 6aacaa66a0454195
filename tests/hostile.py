"""Files that attack the grader: what each does, and what the check must say of it.

Each costs its own verdict at most. The signals that are sent to others here are such as do no harm
where they arrive: it is whether they are allowed that shows.
"""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

from tests.submissions import RIGHT

__all__ = ["HOSTILE", "TOO_LARGE", "Hostile"]


class Hostile(NamedTuple):
    """A file, and what the check must say of it."""

    name: str
    why: str  # what it shows
    code: str
    verdict: str
    said: str = ""  # a pattern that the report has


def at_import(code: str, rest: str = RIGHT) -> str:
    """Code that runs when the file is loaded, as the bodies of classes do."""
    return f"class AtImport:\n{textwrap.indent(textwrap.dedent(code), '    ')}\n{rest}"


def in_calls(code: str, of: str = RIGHT) -> str:
    """The function f, with code before its own."""
    return of.replace("(x, y):\n", f"(x, y):\n{textwrap.indent(textwrap.dedent(code), '    ')}\n")


LEFT = "running, which the check ended"
TOO_LARGE = "it took more than 1 GB of memory"
REFUSED = r"PermissionError: \[Errno 1\] Operation not permitted"
GRANDPARENT = "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"

HOSTILE = [
    # --- processes that are to outlive the check --------------------------------------------------
    Hostile("session", "the group of a process is not all that it started",
            at_import("import os, time\nif not os.fork():\n    os.setsid(); time.sleep(600)"),
            "right", LEFT),
    Hostile("double fork", "a process whose parent has ended is a child of another one",
            at_import("""\
                import os, time
                if not os.fork():
                    os.setsid()
                    if not os.fork(): time.sleep(600)
                    os._exit(0)
                os.wait()"""),
            "right", LEFT),
    Hostile("nohup", "another program, in a session of its own",
            at_import("""\
                import subprocess
                subprocess.Popen(["nohup", "sleep", "600"], start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)"""),
            "right", LEFT),
    Hostile("its environment emptied", "nothing in a process says where it comes from",
            at_import("""\
                import os
                if not os.fork():
                    os.setsid(); os.chdir("/")
                    os.execve("/bin/sleep", ["kworker/0:1", "600"], {})"""),
            "right", LEFT),
    Hostile("bomb", "processes that start more of them, as fast as they can",
            at_import("import os\nwhile True: os.fork()"),
            "not checked", "it started more than 32 processes"),
    Hostile("chain", "a process that is never there for long: each ends when the next is started",
            at_import("""\
                import os, time
                if not os.fork():
                    while True:
                        if os.fork(): os._exit(0)
                        os.setsid()"""),
            "right"),
    Hostile("many", "more processes than a function needs, which only wait",
            in_calls("""\
                import os, time
                for _ in range(40):
                    if not os.fork(): time.sleep(600)
                time.sleep(600)"""),
            "not checked", "it started more than 32 processes"),
    Hostile("copies of the process", "each would answer the request",
            at_import("import os\nos.fork(), os.fork()"), "right"),
    # --- memory -----------------------------------------------------------------------------------
    Hostile("shared memory", "no limit of one process counts it",
            in_calls("""\
                import mmap
                shared = mmap.mmap(-1, 3 << 30)
                for page in range(0, 3 << 30, 4096): shared[page] = 1"""),
            "not checked", TOO_LARGE),
    Hostile("shared memory of another", "it is held by a process that has left",
            in_calls("""\
                import mmap, os, time
                if not os.fork():
                    os.setsid()
                    shared = mmap.mmap(-1, 3 << 30)
                    for page in range(0, 3 << 30, 4096): shared[page] = 1
                    time.sleep(600)
                time.sleep(600)"""),
            "not checked", TOO_LARGE),
    Hostile("memory of many", "each holds less than it may",
            in_calls("""\
                import os, time
                for _ in range(7):
                    if not os.fork():
                        held = bytearray(b'x') * (300 << 20)
                        time.sleep(600)
                time.sleep(600)"""),
            "not checked", TOO_LARGE),
    Hostile("segments that stay", "memory of System V outlives its processes",
            in_calls("""\
                import ctypes
                system = ctypes.CDLL(None, use_errno=True)
                if system.shmget(0, 1 << 20, 0o1600) < 0:
                    raise PermissionError(ctypes.get_errno(), "Operation not permitted")"""),
            "not checked", REFUSED),
    # --- files ------------------------------------------------------------------------------------
    Hostile("pipes for its files", "opening a pipe waits for the other end",
            in_calls("""\
                import os
                for name in ("answer", "printed"):
                    os.remove(f"../{name}"); os.mkfifo(f"../{name}")"""),
            "not checked", "Permission denied"),
    Hostile("devices for its files", "a file without an end",
            in_calls("""\
                import os
                for name in ("answer", "printed"):
                    os.remove(f"../{name}"); os.symlink("/dev/zero", f"../{name}")"""),
            "not checked", "Permission denied"),
    Hostile("deep folders", "removing them takes a stack, and a path, of their depth",
            at_import("""\
                import os
                top = os.getcwd()
                for _ in range(1500): os.mkdir("d"); os.chdir("d")
                os.chdir(top)"""),
            "right"),
    Hostile("closed folders", "removing them takes rights that they do not give",
            at_import("import os\nos.mkdir('a'); os.mkdir('a/b', 0); os.mkdir('c', 0)"), "right"),
    Hostile("the folder above", "others' files lie beside its own",
            in_calls("import shutil\nshutil.rmtree('..')"), "not checked", "Permission denied"),
    Hostile("the folders of others", "the files of all submissions lie together",
            at_import("import shutil, os\nshutil.rmtree(os.path.dirname(__file__), True)"),
            "right"),
    Hostile("the files of others", "they can be changed",
            in_calls("""\
                import glob, os
                for name in glob.glob(os.path.dirname(__file__) + "/*"):
                    open(name, "w").close()"""),
            "not checked", "Permission denied"),
    Hostile("the rights of others", "a file that cannot be read cannot be graded",
            in_calls("""\
                import glob, os
                for name in glob.glob(os.path.dirname(__file__) + "/*"): os.chmod(name, 0)"""),
            "not checked", "Operation not permitted"),
    Hostile("a large file", "it fills the disk",
            "f = open('big', 'w').write('x' * (70 << 20))\n", "not checked", "File too large"),
    # --- what it prints and answers ---------------------------------------------------------------
    Hostile("prints", "5 MB in each call", in_calls("print('x' * 5_000_000)"), "right"),
    Hostile("prints around Python", "5 MB in each call, to the descriptor",
            in_calls("import os\nos.write(1, b'x' * 5_000_000)"), "wrong", "File too large"),
    Hostile("prints for ever", "while it is loaded",
            at_import("while True: print('x' * 10_000)"), "right"),
    Hostile("empties its answer", "the descriptor is its own",
            in_calls("import os\nos.ftruncate(3, 0)"), "not checked"),
    Hostile("a long answer", "lines without an end",
            at_import("import os\nwhile True: os.write(3, b'x' * (1 << 20))"),
            "not checked", "its results are too long"),
    Hostile("an answer of many lines", "each of them can be read",
            at_import("""\
                import os
                line = b'{"Loaded": {"function": "f", "notes": []}}\\n' * 1000
                for _ in range(1000): os.write(3, line)"""),
            "not checked", "its results are too long"),
    Hostile("moves in its files", "the descriptors are shared with those of others",
            at_import("""\
                import fcntl, os
                for number in (1, 3):
                    fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK)
                    os.lseek(number, 1 << 25, os.SEEK_SET)"""),
            "not checked"),
    Hostile("closes its files", "it cannot answer", at_import("import os\nos.closerange(0, 100)"),
            "not checked", "it ended"),
    # --- the processes of others ------------------------------------------------------------------
    Hostile("a signal to its parent", "it would end the files after it as well",
            in_calls("import os, signal\nos.kill(os.getppid(), signal.SIGURG)"),
            "not checked", REFUSED),
    Hostile("a signal to the grader", "it would end all",
            in_calls(f"import os, signal\nos.kill({GRANDPARENT}, signal.SIGURG)"),
            "not checked", REFUSED),
    Hostile("a signal to all", "to all processes of the user",
            in_calls("import os, signal\nos.kill(-1, 0)"), "not checked", REFUSED),
    Hostile("a signal to a group", "to the group of its parent",
            in_calls("import os, signal\nos.killpg(os.getpgid(os.getppid()), 0)"),
            "not checked", REFUSED),
    Hostile("a signal by a descriptor", "another call for the same",
            in_calls("""\
                import os, signal
                signal.pidfd_send_signal(os.pidfd_open(os.getppid()), signal.SIGURG)"""),
            "not checked", REFUSED),
    Hostile("limits of the grader", "a process with the same user's rights may set them",
            in_calls("import os, resource as r\nr.prlimit(os.getppid(), r.RLIMIT_CORE, (0, 0))"),
            "not checked", REFUSED),
    Hostile("the processors of the grader", "it could be confined to one",
            in_calls("import os\nos.sched_setaffinity(os.getppid(), range(os.cpu_count()))"),
            "not checked", REFUSED),
    Hostile("stops itself", "it neither runs nor ends",
            in_calls("import os\nos.kill(os.getpid(), 19)"), "not checked", "it did not end in"),
    # --- time -------------------------------------------------------------------------------------
    Hostile("waits", "no processor time passes",
            in_calls("import time; time.sleep(1000)"), "not checked", "waited longer than"),
    Hostile("has threads", "the time of all of them counts",
            in_calls("""\
                import threading
                def run(): [0 for _ in iter(int, 1)]
                for _ in range(20): thread = threading.Thread(target=run); thread.start()
                thread.join()"""),
            "not checked", "longer than"),
    Hostile("ignores signals", "those that say that its time is over",
            at_import("""\
                import signal
                for n in (2, 14, 15, 24, 27): signal.signal(n, signal.SIG_IGN)
                while True: pass"""),
            "not checked", "it crashed: SIGKILL|it did not end in"),
    Hostile("catches all", "and goes on",
            at_import("""\
                while True:
                    try:
                        while True: pass
                    except BaseException: pass"""),
            "right"),
    Hostile("ends", "before it has answered", at_import("import os; os._exit(1)"),
            "not checked", "it ended with exit code 1"),
    Hostile("reads", "there is nobody who types",
            at_import("import sys\nwhile True: sys.stdin.read()"), "right"),
    # --- cheats: right in some calls, wrong in others ---------------------------------------------
    Hostile("a cache without its logits", "the inputs must not repeat labels with one shape alone",
            f"""{RIGHT.replace("def f(", "def loss(")}
kept = {{}}
def f(x, y):
    key = (x.shape, y.tobytes())
    if key not in kept:
        kept[key] = loss(x, y)
    return kept[key]
""",
            "wrong", "same-for-other-logits"),
    Hostile("wrong after many calls", "inputs are tried again in the end",
            f"""{RIGHT.replace("def f(", "def loss(")}
calls = []
def f(x, y):
    calls.append(1)
    return loss(x, y) * (1 if len(calls) < 26 else 2)
""",
            "wrong", "not-repeatable"),
    Hostile("asks for modules when loaded", "the checking code must not be among them",
            f"""{RIGHT.replace("def f(", "def loss(")}
import sys
class AtImport:
    names = [*sys.modules, *sys.argv[1:], *sys.orig_argv[1:]]
    checked = any("softmaxloss" in name for name in names)
def f(x, y):
    return loss(x, y) if AtImport.checked else 0.0
""",
            "wrong"),
    Hostile("asks for modules when called", "the checking code must not be among them",
            in_calls("import sys, os\nif 'softmaxloss' not in sys.modules: return 0.0"), "wrong"),
    Hostile("asks for its folder", "its name must say nothing",
            in_calls("import os\nif 'softmaxloss' not in os.getcwd(): return 0.0"), "wrong"),
    Hostile("asks who calls it", "one call must come from elsewhere",
            in_calls("""\
                import sys
                frame, names = sys._getframe(), ""
                while frame := frame.f_back: names += frame.f_code.co_filename
                if "checking" not in names: return 0.0"""),
            "wrong", "depends-on-the-caller"),
]  # fmt: skip


def is_said(case: Hostile, report: str) -> bool:
    """Whether a report has what it must say."""
    return re.search(case.said, report) is not None
