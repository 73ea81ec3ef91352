"""Sources of frames: one device or file type per module.

Overlays, keys and models do not belong here.
"""
