"""Answers: from what is asked to what is heard and kept of it."""
