"""Make the animation of the README: two seconds of the output of `rtmag demo` as a looping WebP.

rtmag demo && python -m benchmarks.readme_clip rtmag-demo.mp4 .github/demo.webp
"""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import typer

from rtmag.realtime.sources.video_file import VideoSource

WIDTH = 720  # px: both halves side by side, on a page
FPS = 15
START, SECONDS = 3.0, 2.0  # two seconds hold whole periods of 2 and 5 Hz, so the loop closes


def main(
    clip: Annotated[Path, typer.Argument(help="Video with original and magnified side by side.")],
    out: Annotated[Path, typer.Argument(help="The .webp to write.")],
) -> None:
    """Cut, scale and loop the clip."""
    with (
        VideoSource(clip) as source,
        av.open(str(out), "w", format="webp", options={"loop": "0"}) as file,
    ):
        height = round(source.size[1] * WIDTH / source.size[0] / 2) * 2
        stream = file.add_stream("libwebp_anim", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, height, "yuv420p"
        stream.options = {"quality": "60", "compression_level": "6"}
        step = (source.fps or 30.0) / FPS
        wanted = {round(START * (source.fps or 30.0) + i * step) for i in range(int(FPS * SECONDS))}
        count = 0
        for frame in source:
            if frame.index in wanted:
                picture = av.VideoFrame.from_ndarray(frame.image, format="bgr24")
                picture = picture.reformat(WIDTH, height, "yuv420p")
                picture.pts, picture.time_base = count, Fraction(1, FPS)
                file.mux(stream.encode(picture))
                count += 1
        file.mux(stream.encode(None))


if __name__ == "__main__":
    typer.run(main)
