"""Measurements as a table, files, plots and a page.

It may use `analysis` and `sinks`. It knows neither engines nor sources nor the command line: it
receives a measurement and one picture, measures no motion, and prints nothing.
"""
