"""Genres in the tags of audio files."""
