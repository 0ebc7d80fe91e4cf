"""What the playground knows of engines and runs."""
