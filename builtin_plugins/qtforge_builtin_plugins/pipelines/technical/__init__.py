"""The technical pipeline: the code, diagrams and images in a document."""
