"""The view in a browser: one page, live, for the machine itself or, with a token, for others.

Nothing here is imported before somebody asks for the view, so that the libraries behind it are
needed by nobody else (extra `web`).
"""
