"""Timing of engines on this machine, for `rtmag bench`.

Not in here: cameras and windows.
"""
