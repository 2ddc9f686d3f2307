"""What the collectors that ask servers share: who may be asked, and how."""
