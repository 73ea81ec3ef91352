"""Changes of light: what they would do to the code of a picture.

Lamps flicker, cameras adapt their exposure, and a rolling shutter turns the flicker of the mains
into bands. Such light multiplies the picture by a factor 1 + l, which is smooth, and constant
along rows (bands), columns (bands of a camera on its side) or everywhere. So l follows from means
of the brightness over whole rows and columns, in which motion hardly counts.

A code of derivatives then changes by the code of l times the picture: the code itself times l, and
the slope of brightness that the slope of l makes. `light_codes` computes this change.
`lucas_kanade.py` decides for each cell how much of it the picture really shows, and removes that.

Nothing here is trained. The result is linear in the change of brightness. It is therefore exact for
every temporal filter, and zero for no change.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from rtmag.train.network.encoder import CELL, brightness, levels

DARK = 1 / 255  # brightness at which half of l is left, because noise is no light

LARGEST = 0.5  # of l


def light_codes(
    shape: Tensor, difference: Tensor, kernels: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Change of the code on each level by the light that the change of brightness suggests.

    Args:
        shape: (B, C + 6, h, w), as `Encoder` packs it.
        difference: The same shape, filtered in time.
        kernels: The encoder's shape kernels, fine (C, 48, 3, 3) and coarse (16, 16, 3, 3).

    Returns:
        (B, C, h, w), (B, 16, h/2, w/2) and (B, 16, h/4, w/4), as `levels`.
    """
    with torch.autocast(shape.device.type, enabled=False):  # small changes need float32
        present = brightness(shape)
        light = relative_light(present, brightness(difference))
        fine, half, _ = levels(shape)
        fine_kernels, coarse_kernels = (F.pixel_shuffle(each, CELL).sum(1) for each in kernels)
        smaller = F.avg_pool2d(present, 2), F.avg_pool2d(light, 2)
        # Cells are the pixels of the quarter-size picture, so its code is computed outright.
        quarter = F.pad(present * light, (CELL,) * 4, mode="replicate")
        return (
            light * fine + slope_code(present, light, fine_kernels),
            smaller[1] * half + slope_code(*smaller, coarse_kernels),
            F.conv2d(quarter, coarse_kernels[:, None], stride=CELL),
        )


def relative_light(present: Tensor, change: Tensor) -> Tensor:
    """Light as a share of the present light, l = rows + columns - whole picture.

    Args:
        present: (B, 1, h, w), brightness.
        change: (B, 1, h, w), its change.
    """
    along_rows, along_columns, whole = (
        change.mean(axes, keepdim=True) / (present.mean(axes, keepdim=True) + DARK)
        for axes in (3, 2, (2, 3))
    )
    return (along_rows + along_columns - whole).clamp(-LARGEST, LARGEST)


def slope_code(present: Tensor, light: Tensor, kernels: Tensor) -> Tensor:
    """Code of the slope of brightness that the slope of l makes.

    Args:
        present: (B, 1, h, w), brightness.
        light: (B, 1, h, w), l.
        kernels: (C, 12, 12), for grey pictures.

    Returns:
        (B, C, h, w).
    """
    place = (torch.arange(3 * CELL, dtype=kernels.dtype, device=kernels.device) + 0.5) / CELL - 1.5
    ramps = torch.stack([(kernels * place).sum((1, 2)), (kernels * place[:, None]).sum((1, 2))], 1)
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    slopes = torch.cat([dx, dy], dim=1) * (present / 2)  # per cell
    return (ramps @ slopes.flatten(2)).reshape(-1, len(ramps), *slopes.shape[2:])
