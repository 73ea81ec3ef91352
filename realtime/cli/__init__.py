"""The command line: declarations, wording, exit codes.

The only room that knows Typer and Rich. It touches no pixels.
"""
