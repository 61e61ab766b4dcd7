"""The endpoints of erllama's own API, which its command line asks."""
