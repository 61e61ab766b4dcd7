"""What becomes of a damaged database: it goes aside, and what can be read of it comes in its place."""
