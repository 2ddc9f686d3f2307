"""The financial pipeline: contradictions in invoices, and an audit trail."""
