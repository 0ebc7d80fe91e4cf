"""The engine: the process that holds a run's tensors, and the client that talks to it."""
