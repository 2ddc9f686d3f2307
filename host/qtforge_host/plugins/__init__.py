"""A plugin's whole way in: from a distribution's metadata to an active plugin."""
