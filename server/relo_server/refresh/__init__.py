"""Refreshing audiences: when each is due, and the work of bringing it up to date."""
