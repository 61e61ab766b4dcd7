"""llama.cpp as a backend: nothing else imports `llama_cpp`. The worker imports it when it loads a model."""
