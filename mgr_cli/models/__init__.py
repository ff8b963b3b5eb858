"""The nets: a static table of them, and one family a file."""
