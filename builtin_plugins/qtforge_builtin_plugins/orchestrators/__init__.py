"""The built-in kinds of workflow."""
