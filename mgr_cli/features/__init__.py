"""What is computed from a waveform."""
