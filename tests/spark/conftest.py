"""A Spark on this machine, and a simulator whose account is in the environment of its executors."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from smappee_async.simulator import Park, SimulatedClock, Simulator, World
from smappee_async.testing.thread import in_thread


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    parks = (Park.home(1001), Park.office(1002), Park.hub(1003, sessions_per_day=40), Park.home(1004))
    world = World.of(parks, seed=5)
    with in_thread(lambda: Simulator(world, clock=SimulatedClock.at("2026-11-01T00:00:00Z"))) as running:
        yield running


@pytest.fixture(scope="module")
def spark(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sql: Any = pytest.importorskip("pyspark.sql", reason="pip install 'smappee-async[spark]' brings 450 MB")
    if shutil.which("java") is None:
        pytest.skip("there is no Java; on Debian: apt-get install openjdk-17-jre-headless")
    from smappee_async.spark import SmappeeDataSource  # noqa: PLC0415 - needs pyspark

    account = simulator.account
    names = ("client_id", "client_secret", "username", "password")
    environment = {f"SMAPPEE_{name.upper()}": getattr(account, name) for name in names}
    environment |= {"SMAPPEE_BASE_URL": simulator.base_url, "PYSPARK_PYTHON": sys.executable}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(tmp_path_factory.mktemp("spark"))  # where Java starts, relative paths of Spark begin
        session = (
            sql.SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.python.filterPushdown.enabled", "true")
            .config("spark.log.level", "OFF")
            .getOrCreate()
        )
        session.dataSource.register(SmappeeDataSource)
        yield session
        gateway = session.sparkContext._gateway
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=30)


@pytest.fixture
def sim(simulator: Simulator) -> Iterator[Simulator]:
    yield simulator
    simulator.clear_faults()
