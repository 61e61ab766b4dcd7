"""Anthropic's Messages API: its words for erllama's answers."""
