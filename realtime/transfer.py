"""Arrays to a GPU and back, through pinned memory: the bus reads and writes that by itself.

PyTorch keeps such memory and hands it out again once no copy uses it any more, so that a picture is
laid out while the one before is still being read. Only the download waits, for all that came before
it.
"""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def upload(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """The tensor on a device; itself where it lies there."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def download(tensor: "torch.Tensor") -> NDArray[Any]:
    """A tensor's values, which may be a view of it on the CPU."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    import torch

    held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    held.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return held.numpy()
