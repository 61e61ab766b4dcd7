"""LoRA adapters that are attached to a model, for every request: one module a command."""
