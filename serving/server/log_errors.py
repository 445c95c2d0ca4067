"""What a Triton's log says of why it failed."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# A line about an error. E and F are Triton's own marks. What it warns of (W, and NVML's "Error:"), or misses on a
# machine without a GPU, explains no end.
_ERROR = re.compile(
    r"^(?!.*(?:CudaDriverHelper|unable to create stream))([EF]\d{4} |terminate called|(?![IW]\d{4} ).*\berror\b)"
)
STILLBORN = "a model's process died as soon as it started"
_DIED = re.compile(r"failed to load .* Stub process '\S+' is not healthy")
_TRITONS = re.compile(r"[IWEF]\d{4} |[+|]|\s*$")  # a line of its own, or of one of its tables


@dataclass(frozen=True)
class Log:
    """The log of a server in ``file``, which sees the ``repository`` as ``link``. What cannot be read is empty."""

    file: Path
    repository: Path
    link: Path

    def size(self) -> int:
        """Its bytes so far."""
        with suppress(OSError):
            return self.file.stat().st_size
        return 0

    def since(self, start: int = 0) -> bytes:
        """What it holds from byte ``start`` on; nothing where someone emptied the temporary directory."""
        with suppress(OSError):
            return self.file.read_bytes()[start:]
        return b""

    def reason(self, start: int = 0) -> str:
        """Why the server says it failed, in one line; empty if it does not say.

        Of a stub that died Triton only knows that it did: why, its own last words say.
        """
        log = self.since(start).decode(errors="replace")
        if _DIED.search(log) and (words := self.last_words(start)):
            return f"{STILLBORN}: {words}"
        return self.in_our_words(reason_in(log))

    def last_words(self, start: int = 0) -> str:
        """The last line, from byte ``start`` on, that is not Triton's, but a stub's; empty if there is none."""
        lines = self.since(start).decode(errors="replace").splitlines()
        return self.in_our_words(next((line.strip() for line in reversed(lines) if not _TRITONS.match(line)), ""))

    def in_our_words(self, text: str) -> str:
        """What a server says, with the names that we know of what it sees through a link."""
        return text.replace(str(self.link), str(self.repository))


def reason_in(log: str) -> str:
    """The line of a Triton log that says why it failed; empty if none is about an error."""
    if "Too many open files" in log:  # Triton then says that a port is taken
        return "the server may not open as many files as it needs: raise 'ulimit -n'"
    if found := re.search(r"'?([\w.\[\]]+:(\d+))'? already in use", log):
        return f"port {found[2]} is taken: choose another, or stop what listens there"
    if found := re.search(r"failed to load '(\S+)' version (\d+): (.+)", log):
        why = found[3].split("\\n")[0].strip('" ')
        return f"the model '{found[1]}' version {found[2]} does not load ({why}): publish it again, or delete it"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith("error:")] or [line for line in lines if _ERROR.search(line)]
    return failed[-1] if failed else ""
