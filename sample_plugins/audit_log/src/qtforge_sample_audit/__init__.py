"""An audit file of a host's requests and documents."""

from qtforge_sample_audit.entries import AuditEntry, EntryError
from qtforge_sample_audit.plugin import AuditConfig, AuditLog

__all__ = ["AuditConfig", "AuditEntry", "AuditLog", "EntryError"]
