"""What libraries would tell others is switched off here, before any of them is imported; sub-processes inherit it.

ONNX Runtime 1.31 keeps a device's id and a database of events in the home directory and looks up a host of Microsoft's
(its Privacy.md); Ray reports its use. No other dependency does so: matplotlib's cache of fonts stays on the machine.
"""

import os

SILENCED = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}

os.environ.update(SILENCED)
