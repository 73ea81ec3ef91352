"""The view in a browser: a web page for this machine and, with a token, for other machines.

Only `--view web` imports this package, because its libraries are optional (the extra `web`).
"""
