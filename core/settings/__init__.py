"""Settings, each described once: forms, flags and run.json are derived from the description."""
