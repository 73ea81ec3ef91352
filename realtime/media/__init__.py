"""Containers, codecs, colour and time stamps, for sources and sinks.

Not in here: cameras, sockets, words of the command line.
"""
