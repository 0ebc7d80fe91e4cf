"""Texts: reading, tokens and vocabulary, statistics, and the catalogue, which must not import numpy."""
