"""The endpoints of llama.cpp's own server that scripts use."""
