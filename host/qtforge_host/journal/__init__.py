"""Where the records of runs are kept: `qtforge_sdk.journal.Journal`, in SQLite and in memory."""
