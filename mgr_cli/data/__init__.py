"""From somebody's folder to a prepared dataset on disk."""
