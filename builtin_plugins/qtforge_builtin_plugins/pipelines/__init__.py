"""The pipelines that documents are routed to, a folder for each."""
