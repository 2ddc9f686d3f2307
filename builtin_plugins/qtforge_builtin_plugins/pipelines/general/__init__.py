"""general_processing_pipeline: summary, outline and tags."""
