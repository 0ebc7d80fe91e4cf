"""Forms: fields built from settings, and what their texts mean."""
