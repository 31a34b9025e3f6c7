from __future__ import annotations

from tests.redis_server import _redis_knows_its_version, own_redis, redis_url

__all__ = ["_redis_knows_its_version", "own_redis", "redis_url"]
