"""The view in a browser: one web page, for this machine or, with a token, for other machines.

Only `--view web` imports this package, so its libraries stay an extra (`web`).
"""
