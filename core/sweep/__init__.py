"""Many runs over ranges of settings: a grid of values, or a search by Optuna. No torch in this room."""
