"""For every test: one thread each for tiny networks, here and in the processes that tests start."""

import os

from hypothesis import settings

# Two cores that wait for each other at every layer are slower than one, and a machine under test is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long one example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
