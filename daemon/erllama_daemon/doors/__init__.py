"""Where clients come in: the Unix socket and TCP, who is let in there, and what each of them may take."""
