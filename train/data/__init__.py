"""Training data: synthesised scenes and the published set.

Not in here: networks and losses.
"""
