"""Settings: what a person may choose, described once; form, flags and run.json derive from it."""
