"""The script that shops put on their pages, and what it sends."""
