"""Texts as the screen needs them: which there are, their statistics, downloads."""
