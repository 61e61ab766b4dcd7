"""What `erllama doctor` looks at, one organ a file. To look changes nothing, but that an answer starts the daemon."""
