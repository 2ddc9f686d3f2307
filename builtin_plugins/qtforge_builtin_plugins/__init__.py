"""The plugins that come with QtForge Host; they import only `qtforge_sdk` and their own libraries."""
