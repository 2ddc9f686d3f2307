"""The parts of `ContentAnalyzer`: one property of a text in each module."""
