"""Models by name or file, as what the engine runs."""
