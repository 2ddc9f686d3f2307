"""Scripts for those who work on QtForge Host; they are in no distribution."""
