"""Every preset on an accelerator, held against the CPU. Skipped where there is none.

On CUDA, by hand: .venv/bin/python -m pytest tests/test_accelerator.py
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.checkpoint import load_generator
from core.difference import levels_apart
from core.networks.base import Discriminator
from export.bundles.exporting import export_run
from tests.trainer.conftest import blobs
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.hooks.preview import preview_images
from trainer.objective.penalties import squared_gradient
from trainer.planning import plan
from trainer.presets import PRESETS, resolve
from trainer.settings.config import TrainConfig
from trainer.systems import build_system
from trainer.training import Outcome, train

pytestmark = pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator")

CPU = torch.device("cpu")
RHYTHM = {"log_kimg": 0.032, "preview_kimg": 0.128, "checkpoint_kimg": 0.128, "previews": 4, "metric_kimg": 0.0}


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    info = PackInfo("discs", 16, 16, 4, classes=("red", "green"))
    return write_pack(tmp_path_factory.mktemp("pack") / "discs", blobs(64), np.arange(64) % 2, info)


@pytest.fixture(autouse=True)
def exact():
    """Products of matrices in full precision, as the CPU makes them."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def tiny(preset: str, **changes: object) -> TrainConfig:
    return resolve(preset, ["width=16", "latent_dim=16"], kimg=0.256, batch=16, **{**RHYTHM, **changes})


def accelerator() -> torch.device:
    found = torch.accelerator.current_accelerator()
    assert found is not None
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_networks_and_their_penalties_are_those_of_the_cpu(preset: str, pack: Pack) -> None:
    planned = plan(tiny(preset), pack)
    here, there = (build_system(planned.config, planned.spec, device) for device in (CPU, accelerator()))
    draws = torch.Generator().manual_seed(0)
    z, images = torch.randn(8, 16, generator=draws), torch.rand(8, 4, 16, 16, generator=draws) * 2 - 1
    labels, codes = torch.arange(8) % 2, torch.linspace(-1, 1, 8 * planned.spec.codes).view(8, -1)
    found = []
    for system, device in ((here, CPU), (there, accelerator())):
        for name, network in system.networks.items():
            network.load_state_dict(here.networks[name].state_dict())
            network.eval()
        critic = next(network for network in system.networks.values() if isinstance(network, Discriminator))
        shown, asked = images.to(device).requires_grad_(), labels.to(device)
        logits = critic(shown, asked if critic.spec.classes else None)
        penalty = squared_gradient(logits, shown)
        penalty.backward()
        slopes = [p.grad for p in critic.parameters() if p.grad is not None]
        steepest = max(slope.abs().max().item() for slope in slopes)
        asked = asked if planned.spec.classes else None
        made = system.generator(z.to(device), asked, codes.to(device) if planned.spec.codes else None)
        found.append((made.detach().cpu(), logits.detach().cpu(), penalty.item(), steepest))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_goes_on_where_it_stopped_and_its_generator_makes_the_cpu_s_images(
    preset: str, precision: str, pack: Pack, tmp_path: Path
) -> None:
    for out, lengths in (("whole", (0.256,)), ("parts", (0.128, 0.256))):
        for kimg in lengths:
            config = replace(tiny(preset, precision=precision, device=str(accelerator())), kimg=kimg)
            assert train(plan(config, pack), tmp_path / out) is Outcome.DONE
    whole, parts = (load_file(tmp_path / out / "generator.safetensors") for out in ("whole", "parts"))
    # Not to the bit: on CUDA convolutions add up their gradients in whatever order threads finish, and Adam makes a
    # whole step out of a gradient near 0, whichever sign rounding gave it. A hundredth is a few such steps of these
    # presets' rates. That a run goes on exactly is what tests/trainer holds, to the bit, on the CPU.
    for name, ours in whole.items():
        assert ours.isfinite().all()
        torch.testing.assert_close(parts[name], ours, rtol=1e-2, atol=1e-2)
    there = preview_images(load_generator(tmp_path / "whole" / "generator.safetensors", accelerator()), 16)
    here = preview_images(load_generator(tmp_path / "whole" / "generator.safetensors"), 16)
    assert levels_apart(here, there) <= 1
    if precision == "fp32":
        export_run(tmp_path / "whole", tmp_path / "bundle")
