"""``kind = "reactive"``: durable state machines."""
