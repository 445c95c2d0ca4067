"""Starting a program with arguments that no list of processes shows.

Triton takes the key to its administration on its command line and nowhere else, and on Linux anyone may read anyone's
command line. So the program is started with placeholders there, under ptrace(2), which stops it before its first
instruction; its pointers to the placeholders are turned to what is in its environment, which only its owner may read;
and it goes on. What ``ps`` shows is the memory that the placeholders are in.
"""

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import BufferedRandom
from typing import Any

_TRACEME, _DETACH = 0, 17  # ptrace's requests
_STACK = 28 - 3  # the field startstack of /proc/PID/stat (proc(5)), counted behind the name
_NAME = "GANFOUNDRY_ARGUMENT_"
_WORD = struct.calcsize("N")
_LAUNCHER = """
import ctypes, os, sys
if ctypes.CDLL(None).ptrace(0, 0, 0, 0):
    sys.exit(1)
os.execv(sys.argv[1], sys.argv[1:])
"""


class CannotHide(Exception):
    """Nothing can be hidden here: this machine does not let a process be traced by its parent."""


def start(
    command: Sequence[str], hidden: Sequence[str], env: Mapping[str, str], **options: Any
) -> "subprocess.Popen[bytes]":
    """Start ``command`` with the arguments ``hidden`` at its end; ``options`` are those of Popen.

    Raises CannotHide, and leaves nothing running, where they would be seen.
    """
    placeholders = [f"--hidden-{index}" for index in range(len(hidden))]
    values = {f"{_NAME}{index}": value for index, value in enumerate(hidden)}

    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
    process = subprocess.Popen(  # noqa: S603 (a list, no shell)
        [*launcher, *command, *placeholders], env={**env, **values}, **options
    )
    _, status = os.waitpid(process.pid, 0)  # until it is stopped at the program's first instruction
    if not os.WIFSTOPPED(status):
        process.returncode = os.waitstatus_to_exitcode(status)
        raise CannotHide

    try:
        _turn_pointers(process.pid, len(hidden))
    except OSError:
        process.kill()
        process.wait()
        raise CannotHide from None

    ctypes.CDLL(None).ptrace(_DETACH, process.pid, None, None)
    return process


def _turn_pointers(pid: int, count: int) -> None:
    """Point the last ``count`` arguments of a stopped program to the values in its environment.

    The stack begins with the number of arguments, pointers to them, a 0, pointers to the environment, and a 0 (System
    V ABI, "Initial Process Stack").
    """
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
        stack = int(stat.read().rpartition(")")[2].split()[_STACK])

    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:  # noqa: PTH123
        arguments = _word(memory, stack)

        # Where each variable of the environment begins.
        values, at = {}, stack + _WORD * (arguments + 2)
        while pointer := _word(memory, at):
            name = _text(memory, pointer).partition(b"=")[0].decode(errors="replace")
            values[name] = pointer + len(name) + 1
            at += _WORD

        for index in range(count):
            memory.seek(stack + _WORD * (1 + arguments - count + index))
            memory.write(struct.pack("N", values[f"{_NAME}{index}"]))


def _word(memory: "BufferedRandom | Any", address: int) -> int:
    memory.seek(address)
    return int(struct.unpack("N", memory.read(_WORD))[0])


def _text(memory: "BufferedRandom | Any", address: int) -> bytes:
    """The bytes up to a 0; the stack ends behind the environment, so a read may come back short."""
    memory.seek(address)
    found = b""
    while b"\0" not in found:
        found += memory.read(64)
    return found.partition(b"\0")[0]
