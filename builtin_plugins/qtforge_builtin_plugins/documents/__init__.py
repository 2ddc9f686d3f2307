"""The document plugins: parse, analyze, enrich, store."""
