"""Check plugins as their authors and users meet them: read, import, start and try.

Each step has a process of its own with a deadline, so that a plugin which hangs, exits or
crashes is a finding too. `check` combines them.
"""
