"""The configuration: seen, changed, and asked for what options leave open."""
