"""The built-in moving scene, its objects and the canvas that draws them.

Not in here: files and devices.
"""
