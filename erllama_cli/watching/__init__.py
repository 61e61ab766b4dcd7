"""Watching the daemon at work."""
