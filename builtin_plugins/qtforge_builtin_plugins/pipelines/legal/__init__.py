"""legal_processing_pipeline: redaction, and a check of the clauses of a contract."""
