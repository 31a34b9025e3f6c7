"""How this package uses Redis, with the extra ``redis``: one client for one event loop; failures are sentences."""
