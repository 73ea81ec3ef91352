"""Colour tags of videos, and conversion between YUV and BGR.

Tags are the numbers of ITU-T H.273, as containers and codecs store them. The matrix and the range
determine the conversion. Primaries and transfer are passed on unchanged, because pictures are
magnified in their original encoding. Conversions round accurately and interpolate chroma. FFmpeg's
faster conversions have errors of up to 2.5 grey levels on average, measured on smooth pictures.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from rtmag.realtime.frame import Image
from rtmag.realtime.media.depth import ValueRange

UNSPECIFIED = 2
"""The tag for "unspecified" of matrix, primaries and transfer; for the range it is 0."""

_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Flags of an accurate conversion."""

_LIMITED, _FULL = 1, 2
"""Tags of the range."""

_RGB = 0
"""Tag of the matrix of pictures that are RGB already."""

_MATRICES = {
    1: Colorspace.ITU709,
    UNSPECIFIED: Colorspace.ITU601,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
"""Matrices that can be converted, by tag. An unspecified one is read as BT.601, as in FFmpeg."""


Matrix = Literal["bt601", "bt709", "bt2020"]
"""Matrices that a user may name."""

MATRIX_TAGS: dict[Matrix, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""Tags of the matrices that a user may name."""


@dataclass(frozen=True, slots=True)
class Colour:
    """The colour tags of a video; BT.709 in limited range by default."""

    color_range: int = _LIMITED
    """Range: 1 limited, 2 full, 0 unspecified."""
    colorspace: int = 1
    """Tag of the matrix between RGB and YUV: 1 BT.709, 5 and 6 BT.601, 9 BT.2020."""
    color_primaries: int = 1
    """Tag of the primaries: 1 BT.709."""
    color_trc: int = 1
    """Transfer curve: 1 BT.709, 13 sRGB, 16 PQ, 18 HLG."""

    @property
    def hdr(self) -> bool:
        """True for PQ and HLG, whose range does not fit into 8 bits without loss."""
        return self.color_trc in (16, 18)

    @property
    def writable(self) -> "Colour":
        """These tags if frames can be converted to them, otherwise BT.709."""
        return self if self.colorspace in _MATRICES else Colour()


JPEG = Colour(color_range=_FULL, colorspace=5, color_primaries=UNSPECIFIED, color_trc=UNSPECIFIED)
"""Tags of all JPEG pictures."""


Y4M = Colour(colorspace=6, color_primaries=UNSPECIFIED, color_trc=UNSPECIFIED)
"""Tags of Y4M: it states no matrix, and readers assume BT.601."""


class Converter:
    """Converts decoded frames to images and back; caches its tables, so use one per stream.

    Args:
        values: values of 16-bit frames that become black and white; by default 0 and 65535.
    """

    def __init__(self, values: ValueRange | None = None) -> None:
        self._reformatter = VideoReformatter()
        self._values = values

    def to_bgr(self, frame: VideoFrame) -> Image:
        """Convert a decoded frame of any pixel format to (H, W, 3) uint8 BGR."""
        if self._values is not None:
            return self._values.to_8bit(self.to_bgr16(frame))
        if frame.colorspace not in _MATRICES and frame.colorspace != _RGB:
            frame.colorspace = UNSPECIFIED
        bgr = self._reformatter.reformat(frame, format="bgr24", interpolation=_ACCURATE)
        return np.ascontiguousarray(bgr.to_ndarray(), np.uint8)

    def to_bgr16(self, frame: VideoFrame) -> NDArray[np.uint16]:
        """Convert a decoded RGB or grey frame to (H, W, 3) uint16 BGR."""
        bgr = self._reformatter.reformat(frame, format="bgr48le", interpolation=_ACCURATE)
        return np.ascontiguousarray(bgr.to_ndarray(), np.uint16)

    def from_bgr(self, image: Image, pixel_format: str, colour: Colour) -> VideoFrame:
        """Convert an image to a YUV frame, for an encoder that is tagged with `colour`."""
        full = colour.color_range == _FULL
        return self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24"),
            format=pixel_format,
            dst_colorspace=_MATRICES[colour.colorspace],
            dst_color_range=_FULL if full else _LIMITED,
            interpolation=_ACCURATE,
        )


def is_yuv(pixel_format: VideoFormat | None) -> bool:
    """True if the pixels are YUV, so that the colour tags apply."""
    return (
        pixel_format is not None and not pixel_format.is_rgb and len(pixel_format.components) >= 3
    )


def has_full_chroma(pixel_format: VideoFormat) -> bool:
    """True if there is a colour for each pixel: RGB or 4:4:4."""
    first, *others = pixel_format.components
    sizes = {(each.width, each.height) for each in others[:2]}
    return pixel_format.is_rgb or (len(others) >= 2 and sizes == {(first.width, first.height)})
