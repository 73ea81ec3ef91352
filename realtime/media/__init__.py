"""Containers, codecs, colours and timestamps of videos, for sources and sinks.

Cameras, sockets and texts of the command line do not belong here.
"""
