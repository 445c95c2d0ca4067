"""What exporting needs of a machine, and whether it is there. Never raises: that is the point of it."""

from core.doctor import Check, package

_PROVIDERS = {
    "CPUExecutionProvider": "CPU",
    "CUDAExecutionProvider": "CUDA",
    "TensorrtExecutionProvider": "TensorRT",
}


def checks() -> list[Check]:
    """PyTorch and the ONNX tools, what ONNX Runtime can run on, and what builds engines without a GPU."""
    tools = [package(name, "export") for name in ("torch", "onnx", "onnxscript")]
    return [*tools, _onnxruntime(), package("tensorrt-rtx", "tensorrt")]


def _onnxruntime() -> Check:
    mend = "pip install -c constraints.txt '.[export]'"
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
        version = onnxruntime.__version__
    except Exception as error:  # a broken native library raises whatever it likes
        return Check("onnxruntime", False, f"not usable ({type(error).__name__}: {error})".splitlines()[0], mend)
    built_for = ", ".join(_PROVIDERS.get(name, name) for name in reversed(providers))
    fine = "CPUExecutionProvider" in providers
    return Check("onnxruntime", fine, f"{version}, built for {built_for}", "" if fine else mend)
