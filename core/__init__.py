"""Recurrent language models: texts, models, training, runs and engines. No user interface in here."""

__version__ = "0.1.0"
