"""What the last bits of a run's numbers depend on, beside its settings: kept with every state, compared on going on."""

from collections.abc import Mapping

import torch

from trainer.settings.config import TrainConfig


def arithmetic(config: TrainConfig, device: torch.device) -> dict[str, str]:
    """What computes a run of ``config`` on ``device`` here, by name. The same in all of these gives the same bits.

    Sums are added in another order by other kernels (of another processor, version or memory layout) and by another
    number of threads.
    """
    on_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "processor": torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability(),
        "precision": config.precision,
        "channels_last": str(config.channels_last),
        "torch": torch.__version__,
    } | ({} if on_gpu else {"threads": str(torch.get_num_threads())})


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs, in one line for a person; empty if nothing does. What one of the two does not know is left out."""
    told = [f"{name} {value} (was {before[name]})" for name, value in now.items() if before.get(name, value) != value]
    if not told:
        return ""
    return f"goes on with {', '.join(told)}: all is kept, but from here on the last bits are not those of one stretch"
