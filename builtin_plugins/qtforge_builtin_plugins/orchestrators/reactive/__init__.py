"""``kind = "reactive"``: durable state machines, with the semantics of W3C SCXML.

``definition`` and ``actions`` are how a machine is written, ``validation``, ``ways`` and
``naming`` find what is wrong with it; ``chart``, ``configuration``, ``microstep``, ``performing``
and ``machine`` are the semantics, without input or output; ``instance`` drives a machine with a
run; ``picture`` draws it.
"""
