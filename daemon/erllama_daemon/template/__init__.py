"""Chat templates, which come with model files from anywhere: messages to text. The engine and the worker import it."""
