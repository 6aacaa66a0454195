"""The filter of system calls, run by an interpreter of its instructions, and the removed folder."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from softmaxloss.checking.sandbox import confinement as c
from softmaxloss.checking.sandbox.folder import remove, temporary_folder

OWN, OTHER = 4711, 12
X86, ARM = c.PROCESSORS["x86_64"], c.PROCESSORS["aarch64"]


def result(program: list[bytes], processor: int, number: int, first: int) -> int:
    """What a filter returns for a call: its instructions are those of linux/filter.h."""
    data = struct.pack("=IIQQ", number, processor, 0, first)
    at, loaded = 0, 0
    while True:
        code, yes, no, value = struct.unpack("=HBBI", program[at])
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        else:
            assert code in (0x15, 0x35)
            at += yes if (loaded == value if code == 0x15 else loaded >= value) else no


@pytest.mark.parametrize(("processor", "column"), [X86, ARM], ids=["x86-64", "arm64"])
def test_the_filter(processor: int, column: int) -> None:
    program = c._program(processor, column, OWN)
    assert len(program) < 256  # a jump has a byte

    def allowed(number: int, first: int = OTHER, of: int = processor) -> bool:
        found = result(program, of, number, first)
        assert found in (0x7FFF0000, 0x00050001)  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM
        return found == 0x7FFF0000

    own_only = {row[column] for row in c.OWN_ONLY.values()}
    refused = {row[column] for row in c.REFUSED.values()} - {None}
    assert not own_only & refused
    for number in range(500):
        assert allowed(number) == (number not in own_only | refused), number
        assert allowed(number, OWN) == allowed(number, 0) == (number not in refused), number
        assert not allowed(number, of=X86[0] + ARM[0] - processor)
        assert not allowed(number + (1 << 30))
    assert not allowed(min(own_only), OWN + (1 << 31))
    assert not allowed(min(own_only), (1 << 32) - 1)  # −1: all processes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_a_folder_is_removed_with_what_is_in_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    with temporary_folder() as folder:
        (folder / "a" / "b" / "c").mkdir(parents=True)
        (folder / "d" / "b").mkdir(parents=True)
        (folder / "a" / "link").symlink_to(kept)
        (folder / "link").symlink_to(kept)
        (folder / "a" / "b" / "dangling").symlink_to("nowhere")
        os.mkfifo(folder / "a" / "b" / "pipe")
        (folder / "a" / "b" / "c" / "file").touch()
        os.chmod(folder / "a" / "b" / "c", 0)
        os.chmod(folder / "a" / "b", 0)
    assert not folder.exists()
    assert (kept / "file").exists()


def test_a_folder_deeper_than_the_stack(tmp_path: Path) -> None:
    here, depth = tmp_path / "top", sys.getrecursionlimit() + 50
    here.mkdir()
    before = os.getcwd()
    os.chdir(here)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(before)
    remove(here)
    assert not here.exists()
