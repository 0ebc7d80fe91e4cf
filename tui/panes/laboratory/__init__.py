"""The laboratory pane."""
