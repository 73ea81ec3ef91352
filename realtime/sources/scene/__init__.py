"""The built-in moving scene, its objects and the canvas that draws them.

Files and devices do not belong here.
"""
