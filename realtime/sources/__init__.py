"""Sources of frames: one device or file type per module.

Overlays, keys and models do not belong here.
"""

# If FFmpeg's libraries were loaded before OpenCV, its windows on X11 would never open.
import rtmag.realtime.opencv  # noqa: F401
