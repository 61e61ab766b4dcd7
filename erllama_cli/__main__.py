"""`python -m erllama_cli`."""

from erllama_cli.main import main

main()
