"""A conversation with somebody at a terminal: the line that is typed, the answers, and the commands in between."""
