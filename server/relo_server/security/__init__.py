"""Who asks, and what they may: credentials, roles, and what partners must not learn."""
