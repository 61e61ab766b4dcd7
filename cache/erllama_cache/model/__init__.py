"""What a cached state is cached under: the fingerprint of a model file."""
