"""Inference: image and state in, image and state out.

The only room that names a runtime. It knows no sources of frames, no controls, and no files other
than models.
"""
