"""The parts of `DocumentEnricher`: one kind of fact in each module.

Each searches a limited part of the text, so that the time is limited for any text.
"""
