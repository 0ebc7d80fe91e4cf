"""Benchmarks: each case runs a reference, ours and the limit in turn in one process, and reports the ratios."""
