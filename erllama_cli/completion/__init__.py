"""What a shell completes: the words that are typed, what may come next, and the scripts that ask for it."""
