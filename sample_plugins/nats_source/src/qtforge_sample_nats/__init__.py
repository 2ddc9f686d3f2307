"""NATS subjects as streams: answers ``stream.read`` for ``nats://HOST/SUBJECT``."""

from qtforge_sample_nats.plugin import NatsSource, NatsSourceConfig

__all__ = ["NatsSource", "NatsSourceConfig"]
