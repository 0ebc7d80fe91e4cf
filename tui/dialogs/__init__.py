"""Dialogs: they ask one thing and go."""
