"""Measurement of motion in pictures.

It imports neither engines nor windows. Only `gain` imports a source: the built-in scene, whose true
motion is known.
"""
