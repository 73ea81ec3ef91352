"""`rtmag bench`: time engines on this machine and compare them with its roofline.

This room uses no cameras and no windows.
"""
