"""Runs: the folder that is a model, its journal and its checkpoints."""
