"""Where streams come from, and when a window over one ends."""
