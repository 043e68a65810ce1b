"""The commands of `relo` that need stored events or published sets."""
