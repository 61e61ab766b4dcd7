"""The conversation that a command goes on with: how it is found or begun, held open, and asked."""
