"""What `ContentAnalyzer` is made of: one question about a text in each module."""
