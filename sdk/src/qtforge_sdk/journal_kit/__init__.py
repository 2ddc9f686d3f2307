"""What a journal is made of: encoding, archives, rules of appending, and the writing thread.

A distribution that stores runs elsewhere builds its `qtforge_sdk.journal.Journal` with this
package alone, and tests it with `qtforge_sdk.testing.journal_contract`.
"""
