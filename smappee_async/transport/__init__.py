"""One call over HTTP, and how often to try it."""
