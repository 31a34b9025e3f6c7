"""The token's life: credentials, tokens, where they are kept, and when they are renewed."""
