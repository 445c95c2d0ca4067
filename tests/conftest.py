"""For every test: one thread each for tiny networks, here and in the processes that tests start."""

import os

# Two cores that wait for each other at every layer are slower than one, and a machine under test is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
