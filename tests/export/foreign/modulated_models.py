"""Style networks as others write them: a weight for each image, and one convolution with a group for each."""

import io
import warnings

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIM, SIZE = 8, 8


class Modulated(nn.Module):
    """Karras et al. 2020, section 2.2, the weights of all images side by side. ``up`` doubles by a transposed one."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, demodulate: bool = True, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside, kernel, kernel))
        self.affine = nn.Linear(DIM, inside)
        nn.init.ones_(self.affine.bias)
        self.demodulate, self.up, self.scale = demodulate, up, (inside * kernel**2) ** -0.5

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` (n, inside, h, w) and ``w`` (n, DIM) to (n, outside, h, w), or twice as large."""
        n, (outside, inside, *kernel) = int(x.shape[0]), self.weight.shape
        style = self.affine(w).reshape(n, 1, inside, 1, 1)
        weight = self.weight[None] * self.scale * style  # (n, outside, inside, k, k)
        if self.demodulate:
            factor = (weight.square().sum(dim=[2, 3, 4]) + 1e-8).rsqrt()
            weight = weight * factor.reshape(n, outside, 1, 1, 1)
        x = x.reshape(1, n * inside, *x.shape[2:])
        if self.up:
            weight = weight.transpose(1, 2).reshape(n * inside, outside, *kernel)
            x = F.conv_transpose2d(x, weight, padding=1, output_padding=1, stride=2, groups=n)
            x = F.conv2d(x, torch.ones(n * outside, 1, 3, 3) / 9, padding=1, groups=n * outside)  # a blur, as is usual
        else:
            x = F.conv2d(x, weight.reshape(n * outside, inside, *kernel), padding=kernel[0] // 2, groups=n)
        return x.reshape(n, outside, *x.shape[2:])


class Styled(nn.Module):
    """A constant, two convolutions, one of which doubles, and colours without demodulation."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, 6, SIZE // 2, SIZE // 2))
        self.first, self.up = Modulated(6, 5), Modulated(5, 4, up=True)
        self.colours = Modulated(4, 3, kernel=1, demodulate=False)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (n, DIM) to (n, 3, SIZE, SIZE), from -1 to 1."""
        w = F.leaky_relu(z, 0.2)
        x = F.leaky_relu(self.first(self.start.repeat(z.shape[0], 1, 1, 1), w), 0.2)
        x = F.leaky_relu(self.up(x, w), 0.2)
        return torch.tanh(4 * self.colours(x, w))


class Shifted(nn.Module):
    """Styles around 0 instead of 1, squares by a power, the length divided by; a blur with a row for each channel."""

    def __init__(self, inside: int, outside: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside, 3, 3) / 8)
        self.affine = nn.Linear(DIM, inside)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """``x`` (n, inside, h, w) and ``w`` (n, DIM) to (n, outside, h, w)."""
        n, _, height, width = (int(side) for side in x.shape)
        weight = self.weight[None] * (self.affine(w)[:, None, :, None, None] + 1)
        if self.demodulate:
            weight = weight / (weight**2).sum(dim=(2, 3, 4), keepdim=True).add(1e-8).sqrt()
        outside = self.weight.shape[0]
        x = F.conv2d(
            x.reshape(1, -1, height, width), weight.reshape(n * outside, *weight.shape[2:]), padding=1, groups=n
        )
        x = F.pad(x.reshape(n, outside, height, width).reshape(-1, 1, height, width), (1, 1, 1, 1))
        return F.conv2d(x, torch.ones(1, 1, 3, 3) / 9).reshape(n, outside, height, width)


class Plain(nn.Module):
    """Layers on a constant."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.start = nn.Parameter(torch.randn(1, layers[0].weight.shape[1], 4, 4))

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (n, DIM) to (n, outside, h, w)."""
        x = self.start.repeat(z.shape[0], 1, 1, 1) * (1 + z[:, :1, None, None])
        for layer in self.layers:
            x = layer(x, z)
        return x


def styled(seed: int = 0) -> Styled:
    """The same weights for the same seed."""
    torch.manual_seed(seed)
    return Styled().eval()


def traced(network: nn.Module, batch: int, dynamic: bool = False, dynamo: bool = False) -> onnx.ModelProto:
    """As PyTorch exports it at ``batch``; ``dynamic`` as it says that any will do."""
    how = {"dynamic_axes": {"z": {0: "n"}, "out": {0: "n"}}} if dynamic else {}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(
                network, (torch.randn(batch, DIM),), input_names=["z"], output_names=["out"], dynamo=True, verbose=False
            )
            return program.model_proto
        torch.onnx.export(
            network,
            (torch.randn(batch, DIM),),
            file,
            input_names=["z"],
            output_names=["out"],
            opset_version=17,
            dynamo=False,
            **how,
        )
    return onnx.load_from_string(file.getvalue())
