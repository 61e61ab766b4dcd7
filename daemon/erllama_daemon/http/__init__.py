"""The endpoints, and the answers that are under way. Only the server imports it."""
