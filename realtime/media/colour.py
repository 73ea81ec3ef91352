"""Colours: the tags a video carries, and the way between its YUV and our BGR.

Tags are the numbers of ITU-T H.273, as containers and codecs store them. Matrix and range decide
the conversion; primaries and transfer are only carried along, because pictures are magnified in the
encoding they came in. Conversions round accurately and interpolate chroma: the faster ones are off
by up to 2.5 grey levels on average, measured on smooth pictures.
"""

from dataclasses import dataclass

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from rtmag.realtime.frame import Image

UNSPECIFIED = 2
"""The tag for 'not said', of matrix, primaries and transfer. Of the range it is 0."""

_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_LIMITED, _FULL = 1, 2

_RGB = 0

# What the converter knows, by matrix tag. FFmpeg takes an unsaid matrix for BT.601, so we do too.
_MATRICES = {
    1: Colorspace.ITU709,
    UNSPECIFIED: Colorspace.ITU601,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}


@dataclass(frozen=True, slots=True)
class Colour:
    """The colour tags of a video; BT.709 in limited range unless said otherwise."""

    color_range: int = _LIMITED
    """1 limited, 2 full, 0 not said."""
    colorspace: int = 1
    """The matrix between RGB and YUV."""
    color_primaries: int = 1
    color_trc: int = 1
    """The transfer curve: 1 BT.709, 13 sRGB, 16 PQ, 18 HLG."""

    @property
    def hdr(self) -> bool:
        """True for PQ and HLG, whose range does not fit into 8 bits without loss."""
        return self.color_trc in (16, 18)

    @property
    def carried(self) -> "Colour":
        """The tags of a YUV video of the same colours: these where that can be, else BT.709."""
        return self if self.colorspace in _MATRICES else Colour()


JPEG = Colour(color_range=_FULL, colorspace=5, color_primaries=UNSPECIFIED, color_trc=UNSPECIFIED)
"""What JPEG pictures always are."""


class Converter:
    """Turns decoded frames into images and back. It remembers its tables: keep one per stream."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def to_bgr(self, frame: VideoFrame) -> Image:
        """The picture of a decoded frame of any pixel format, 8 bits per channel."""
        if frame.colorspace not in _MATRICES and frame.colorspace != _RGB:
            frame.colorspace = UNSPECIFIED
        bgr = self._reformatter.reformat(frame, format="bgr24", interpolation=_ACCURATE)
        return np.ascontiguousarray(bgr.to_ndarray(), np.uint8)

    def from_bgr(self, image: Image, pixel_format: str, colour: Colour) -> VideoFrame:
        """A frame of the given YUV pixel format, ready for an encoder tagged with `colour`."""
        full = colour.color_range == _FULL
        return self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24"),
            format=pixel_format,
            dst_colorspace=_MATRICES[colour.colorspace],
            dst_color_range=_FULL if full else _LIMITED,
            interpolation=_ACCURATE,
        )


def is_yuv(pixel_format: VideoFormat | None) -> bool:
    """Whether a stream's pixels are YUV, and so its colour tags mean something."""
    return (
        pixel_format is not None and not pixel_format.is_rgb and len(pixel_format.components) >= 3
    )
