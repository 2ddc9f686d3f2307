"""Graphs in the languages that draw them."""
