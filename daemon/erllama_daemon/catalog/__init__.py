"""The models that the user already has: by path, by alias, or by the names that other programs' stores give them."""
