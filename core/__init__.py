"""What libraries would do unasked is switched off here, before any of them is imported; sub-processes inherit it.

ONNX Runtime 1.31 keeps a device's id and a database of events in the home directory and looks up a host of Microsoft's
(its Privacy.md); Ray reports its use. No other dependency does so: matplotlib's cache of fonts stays on the machine.
gRPC prepares for forks of a process that goes on using it in the child. None of ours does, all start programs, and the
preparation now and then stops one that starts while requests are in flight: Ray's, under ``sample --ray``.
"""

import os

SILENCED = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}

os.environ.update(SILENCED)
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
