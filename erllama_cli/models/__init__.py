"""The models that there are: seen, fetched and named."""
