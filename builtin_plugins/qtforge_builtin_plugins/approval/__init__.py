"""The workflow ``document-approval`` and its plugins: reviewers, notifications, the archive."""
