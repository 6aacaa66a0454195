"""What the system refuses to a process, for good, and to those that it starts (Linux).

Landlock refuses to write, make or remove files outside of one folder. A filter of system calls
refuses to send signals to other processes, to change their limits, and a few more. An ordinary user
may set both. What a system does not have is left out, silently.
"""

import contextlib
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping
from glob import glob
from typing import Any

NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS

# Landlock, from linux/landlock.h. The numbers of its system calls are those of every processor.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
#: The version, and what it knows: removing files (bits 4 and 5), making them (6 to 12), moving them
#: to another folder (13).
CHANGES = (1, WRITE_FILE | sum(1 << bit for bit in range(4, 13))), (2, 1 << 13), (3, TRUNCATE)
#: Devices that may be written to: nothing is kept there. Those of graphics cards, too.
DEVICES = (
    "/dev/null", "/dev/zero", "/dev/full", "/dev/nvidia*", "/dev/kfd", "/dev/dri/*", "/dev/dxg",
)  # fmt: skip

# Filters of system calls, from linux/seccomp.h, linux/filter.h and linux/audit.h.
SET_SECCOMP, FILTER_MODE = 22, 2  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF: LD|W|ABS, JMP|JEQ, JMP|JGE, RET
NUMBER, PROCESSOR, FIRST_ARGUMENT = 0, 4, 16  # where they are in struct seccomp_data
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
OTHER_NUMBERS = 0x40000000  # x86: from here on the same calls have other numbers

#: The processors whose numbers are known: AUDIT_ARCH_…, and the column in the tables below.
PROCESSORS = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: Calls that name a process by their first argument, and are allowed for the own one only: signals,
#: limits, the processors to run on.
OWN_ONLY = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
#: Calls that are refused.
REFUSED = {
    # other ways to the same: by a thread, a descriptor, a group or its memory
    "tkill": (200, 130), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    # memory that belongs to no process, and would stay
    "memfd_create": (319, 279), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "add_key": (248, 217),
    # changes of files that Landlock does not know
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    # other rights, other views of the system, and calls that no filter sees
    "unshare": (272, 97), "setns": (308, 268), "io_uring_setup": (425, 425),
}  # fmt: skip


def confine(folder: str) -> None:
    """Refuse this process to change anything outside of a folder, and other processes."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):  # not this system
        import ctypes

        system = ctypes.CDLL(None)
        _checked(system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        with contextlib.suppress(OSError):
            _write_only_beneath(folder, system)
        _refuse_calls(system)


def _write_only_beneath(folder: str, system: Any) -> None:
    version = _checked(system.syscall(CREATE_RULESET, None, 0, VERSION))
    changes = sum(bits for since, bits in CHANGES if version >= since)
    rights = struct.pack("Q", changes)
    rules = _checked(system.syscall(CREATE_RULESET, rights, len(rights), 0))
    devices = [path for pattern in DEVICES for path in glob(pattern)]
    to_files = changes & (WRITE_FILE | TRUNCATE)
    for path, allowed in [(folder, changes), *((device, to_files) for device in devices)]:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", allowed, opened)
        _checked(system.syscall(ADD_RULE, rules, PATH_BENEATH, rule, 0))
        os.close(opened)
    _checked(system.syscall(RESTRICT_SELF, rules, 0))
    os.close(rules)


def _refuse_calls(system: Any) -> None:
    known = PROCESSORS.get(platform.machine())
    if known is None or sys.maxsize < 1 << 32:
        return
    import ctypes

    program = _program(*known, os.getpid())
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    _checked(system.prctl(SET_SECCOMP, FILTER_MODE, header, 0, 0))


def _program(processor: int, column: int, own: int) -> list[bytes]:
    """The filter: it refuses calls of another processor's numbers, and those of the tables."""
    refused = _numbers(REFUSED, column)
    own_only = _numbers(OWN_ONLY, column)
    end = len(refused) + len(own_only)  # "allow" follows the two lists, then the rest
    lines = [
        _line(LOAD, PROCESSOR),
        _line(EQUAL, processor, no=end + 6),
        _line(LOAD, NUMBER),
        _line(AT_LEAST, OTHER_NUMBERS, yes=end + 4),
    ]
    lines += [_line(EQUAL, number, yes=end + 3 - k) for k, number in enumerate(refused)]
    lines += [_line(EQUAL, number, yes=len(own_only) - k) for k, number in enumerate(own_only)]
    return [
        *lines,
        _line(RETURN, ALLOW),
        _line(LOAD, FIRST_ARGUMENT),
        _line(EQUAL, 0, yes=2),
        _line(EQUAL, own, yes=1),
        _line(RETURN, REFUSE),
        _line(RETURN, ALLOW),
    ]


def _numbers(table: Mapping[str, tuple[int, int | None]], column: int) -> list[int]:
    return [number for row in table.values() if (number := row[column]) is not None]


def _line(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """An instruction; `yes` and `no` are how many to skip where a comparison holds, or not."""
    return struct.pack("=HBBI", code, yes, no, value)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError("the system does not have this call")
    return result
