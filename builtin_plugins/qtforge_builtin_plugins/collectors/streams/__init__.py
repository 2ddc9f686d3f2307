"""The sources of streams, and the windows over them."""
