"""Composition of sources, engines, sinks and views into runs, and the frame loop.

This package imports neither Typer nor Rich: its messages go to callbacks.
"""
