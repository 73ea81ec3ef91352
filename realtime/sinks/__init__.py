"""Where frames go: one device or kind of file per module.

Not in here: overlay, keys, models.
"""
