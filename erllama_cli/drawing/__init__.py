"""Text on a terminal while it comes: where it breaks, what of it may still change, and how Markdown looks."""
