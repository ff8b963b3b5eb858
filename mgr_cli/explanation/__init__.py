"""Explanations: what in a song made an entry say so, what its layers look for, where tracks lie."""
