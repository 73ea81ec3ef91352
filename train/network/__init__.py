"""The networks, as torch modules.

Not in here: data, losses, files.
"""
