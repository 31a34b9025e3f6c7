"""Nothing of Spark is imported before it is asked for, and what is missing is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

import smappee_async.spark


def test_without_pyspark_the_extra_is_named() -> None:
    program = "import sys; sys.modules['pyspark'] = None; from smappee_async.spark import SmappeeDataSource"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.endswith(
        "ImportError: smappee_async.spark needs an extra: pip install 'smappee-async[spark]'\n"
    )


def test_options_need_neither_pyspark_nor_pyarrow() -> None:
    program = (
        "import sys, smappee_async.spark.options; sys.exit(any(name in sys.modules for name in ('pyspark', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = smappee_async.spark.Nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
