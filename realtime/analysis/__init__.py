"""Measurement of motion in pictures.

It knows neither engines nor windows. Only `gain` knows a source: the built-in scene, whose true
motion it compares with.
"""
