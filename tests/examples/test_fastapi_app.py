"""The FastAPI example as its docstring starts it; what it promises is in ``test_backends``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import smappee_async
from smappee_async.simulator import Park, Simulator, World
from smappee_async.testing.thread import in_thread

from .serving import EXAMPLES, HOME, STREAM, told, truth


def test_it_runs_under_the_uvicorn_command_and_ends_cleanly() -> None:
    with in_thread(lambda: Simulator(World.of([Park.home(HOME)], seed=5))) as sim:
        environment = os.environ | {
            "PYTHONPATH": str(Path(smappee_async.__file__).parents[1]),
            "SMAPPEE_BASE_URL": sim.base_url,
            "SMAPPEE_CLIENT_ID": sim.account.client_id,
            "SMAPPEE_CLIENT_SECRET": sim.account.client_secret,
            "SMAPPEE_USERNAME": sim.account.username,
            "SMAPPEE_PASSWORD": sim.account.password,
        }
        uvicorn = [sys.executable, "-X", "dev", "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0"]
        with subprocess.Popen([*uvicorn, "fastapi_app:app"], env=environment, stderr=subprocess.PIPE) as server:
            try:
                assert server.stderr is not None
                log = b""
                while (found := re.search(rb"running on (http://[\d.:]+)", log)) is None:
                    line = server.stderr.readline()
                    assert line, log.decode()
                    log += line
                with urlopen(found[1].decode() + STREAM.format(HOME)) as response:
                    body = response.read()
                server.send_signal(signal.SIGTERM)
                log += server.stderr.read()
            finally:
                server.kill()

        assert told(body) == truth(sim, HOME)
    assert b"Application shutdown complete" in log
    assert not re.search(rb"Traceback|Warning|Unclosed|was destroyed", log), log.decode()
