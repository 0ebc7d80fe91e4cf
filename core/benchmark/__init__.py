"""The measuring: each case runs a reference, ours and the limit in turn, in one process, and tells the ratios."""
