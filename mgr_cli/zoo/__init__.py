"""Trained entries on disk: a card, weights, and a golden sample that proves them."""
