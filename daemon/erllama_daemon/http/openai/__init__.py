"""OpenAI's API, as its clients speak it. `docs/openai.md` says what of it there is."""
