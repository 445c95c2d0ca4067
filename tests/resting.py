"""What contract suites need to know of networks that grow."""

from torch import nn

from core.networks.progressive import Growing


def resting(network: nn.Module) -> set[nn.Parameter]:
    """The parameters that a full-grown network no longer uses: the image layers of its smaller levels."""
    if not isinstance(network, Growing):
        return set()
    layers = network.get_submodule("to_image" if hasattr(network, "to_image") else "from_image")
    return {parameter for layer in layers[:-1] for parameter in layer.parameters()}
