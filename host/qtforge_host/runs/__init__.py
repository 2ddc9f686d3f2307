"""The engine under every orchestrator."""
