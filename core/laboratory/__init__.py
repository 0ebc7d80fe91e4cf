"""What models do, looked at closely: experiments small enough to be played with."""
