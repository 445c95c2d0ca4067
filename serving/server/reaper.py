"""Ends a server whose supervisor was killed: ``python reaper.py DIRECTORY SHARED_MEMORY_PREFIX``, fed through a pipe.

Triton's stubs outlive a killed server, and nothing tells the server that its supervisor is gone. The supervisor
writes the process group of each server it starts, and 0 when it has ended, to this process's standard input. When
that closes, for whatever reason, the last group is killed and the directory and shared memory are deleted.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path


def main() -> None:
    """Wait for the supervisor's end, then clean up after it."""
    directory, prefix = Path(sys.argv[1]), Path(sys.argv[2])
    group = 0
    for line in sys.stdin:
        group = int(line)
    if group > 0:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
    for region in prefix.parent.glob(f"{prefix.name}*"):
        region.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
