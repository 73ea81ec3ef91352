"""Measurement of motion.

Not in here: sources, engines, drawing on the screen.
"""
