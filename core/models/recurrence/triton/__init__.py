"""The recurrence as one persistent Triton kernel on a GPU."""
