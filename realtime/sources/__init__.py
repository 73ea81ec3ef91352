"""Sources of frames: one device or file type per module.

Not in here: overlay, keys, models.
"""
