"""The Inspect pane."""
