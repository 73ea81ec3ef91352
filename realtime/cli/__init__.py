"""The command line: declarations, wording, exit codes.

Only this package imports Typer and Rich. It never handles pictures.
"""
