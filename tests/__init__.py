import core as core  # before anything imports onnxruntime: it keeps that from telling others
