"""``kind = "reactive"``: durable state machines, with the semantics of W3C SCXML.

``definition`` and ``actions`` declare the TOML form of a machine. ``validation``,
``reachability`` and ``scopes`` find errors in it. ``chart``, ``configuration``, ``microstep``,
``actions_runner`` and ``machine`` are the semantics, without input or output. ``instance``
connects a machine with a run, and ``graph`` draws it.
"""
