"""legal_processing_pipeline: redaction, and the clauses that a contract needs."""
