"""The kinds of workflow that come with the host."""
