"""Composition and the frame loop.

The only room that knows both sources and engines. Not in here: Typer, Rich, print.
"""
