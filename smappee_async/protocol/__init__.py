"""The wire, without I/O: what is sent, and what a response means."""
