"""Other libraries' preprocessing, read into a `fastpre.Spec`."""
