"""What a person prefers (``config.toml``), and what the program remembers (``state.json``)."""
