"""Where a run's records are kept."""
