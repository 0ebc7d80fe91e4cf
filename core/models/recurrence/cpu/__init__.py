"""The recurrences and the loss in C, compiled on the machine that they run on, where it has a compiler."""
