"""Containers, codecs, colours and timestamps of videos, for sources and sinks.

Not in here: cameras, sockets, texts of the command line.
"""
