"""What `DocumentEnricher` is made of: one kind of fact in each module.

Each caps the text that it looks at, so that any text ends in time.
"""
