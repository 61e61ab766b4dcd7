"""Calls of tools as models write them: which forms there are, and how a call is told from the text of an answer."""
