"""What a person should know of a video before trusting what is made of it."""

from rtmag.realtime.filters import Filter, Temporal
from rtmag.realtime.video import VideoSource

_TRANSFERS = {16: "PQ", 18: "HLG"}


def caveats(video: VideoSource, filter: Filter, capture_fps: float | None = None) -> list[str]:
    """One line for each thing about a video that costs precision or meaning."""
    found = []
    if video.bits > 8:
        found.append(f"has {video.bits} bits per channel; the output has 8")
    if video.colour.hdr:
        curve = _TRANSFERS[video.colour.color_trc]
        found.append(f"is HDR ({curve}); it is passed on as such, not tone-mapped")
    if video.interlaced:
        found.append("is interlaced: its lines show two moments, which is shown as motion")
    if video.frames == 1:
        found.append("has one frame: there is no motion to magnify")
    elif isinstance(filter, Temporal):
        rate = capture_fps or video.fps
        seconds = (video.frames or 0) / rate if rate else video.seconds
        if seconds * filter.fl < 1:
            found.append(f"lasts {seconds:.2g} s, less than one period at {filter.fl:g} Hz")
    return [f"{video.name!r} {words}" for words in found]
