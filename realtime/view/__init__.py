"""The picture on the screen, and the keys.

It opens no sources and no engines.
"""
