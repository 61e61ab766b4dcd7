"""From a prompt to the tokens of its answer, through the cache, on any backend. Only the worker imports it.

The one exception is `backend`, what the engine asks of an inference library: `llama` imports it to be one.
"""
