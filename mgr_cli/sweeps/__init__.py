"""What is searched: sweep files as Weights & Biases writes them, and the search spaces we ship."""
