"""``qtforge-host serve``: a host that stays up, with schedules and an HTTP interface."""
