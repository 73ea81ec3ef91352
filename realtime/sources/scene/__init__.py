"""The built-in moving scene and the canvas that draws it.

Not in here: files and devices.
"""
