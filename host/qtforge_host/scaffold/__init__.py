"""What ``plugins new`` and ``workflows new`` write: projects and definitions to begin with."""
