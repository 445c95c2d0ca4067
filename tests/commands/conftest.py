"""What tests of commands share."""

from tests.running import here, pack

__all__ = ["here", "pack"]
