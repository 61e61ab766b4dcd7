"""How a model comes from a hub into Hugging Face's cache, where the catalog and other programs find it."""
