"""Refreshing audiences: computed together, published one by one."""
