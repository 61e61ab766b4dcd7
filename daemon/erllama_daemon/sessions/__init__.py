"""The conversations: a database, and what is done with it as a whole."""
