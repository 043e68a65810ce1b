"""How events come in: checked, freed of raw identifiers, kept on disk, moved into the engine."""
