"""One recurrent layer over time, made fast."""
