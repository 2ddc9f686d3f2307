"""The plugins that come with QtForge Host; of it, they import only `qtforge_sdk`."""
