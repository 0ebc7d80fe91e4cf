"""Texts: reading, tokens and vocabulary, statistics, and the catalogue.

Import from the modules: ``core.corpus.catalogue`` is used where numpy would be too heavy, so nothing is imported here.
"""
