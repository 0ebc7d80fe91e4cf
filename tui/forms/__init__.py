"""Forms: a schema of settings, its fields on the screen, and the reading of their texts."""
