from __future__ import annotations

from tests.redis_server import _redis_knows_its_version, _shared_redis, own_redis, redis_url

__all__ = ["_redis_knows_its_version", "_shared_redis", "own_redis", "redis_url"]
