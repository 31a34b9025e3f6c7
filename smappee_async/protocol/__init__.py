"""The wire, without I/O: what is sent, and what an answer means."""
