"""What surrounds the panes."""
