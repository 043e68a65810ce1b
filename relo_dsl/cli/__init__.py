"""The command `relo`: a light group and one module for each command."""
