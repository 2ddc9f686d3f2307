"""The workflow ``document-approval`` and its plugins: reviewers, notifications, archive."""
