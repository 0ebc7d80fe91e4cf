"""The panes of the playground: each shows one of its nouns."""
