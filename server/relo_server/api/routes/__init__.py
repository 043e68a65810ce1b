"""The routes, by subject. Each is named after its operation in `security.roles`."""
