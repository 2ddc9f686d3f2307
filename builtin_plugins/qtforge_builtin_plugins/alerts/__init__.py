"""The workflow ``alert-delivery`` and its plugin, which posts webhooks."""
