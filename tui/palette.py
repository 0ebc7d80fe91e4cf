"""Names of styles that several widgets share; the theme decides what they look like."""

QUIET = "$foreground 60%"
"""For what stands beside the thing itself: names, units, explanations."""
