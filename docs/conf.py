"""The site: ``sphinx-build -W -n --keep-going -b html docs build/docs``. It needs no network."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# The pages describe the checkout that they are part of, whatever is installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from smappee_async import __version__, client, models

project = "smappee_async"
author = "The smappee_async authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["examples/**"]
nitpicky = True

html_theme = "furo"
html_title = f"smappee_async {__version__}"
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "mixed"
add_module_names = False
python_use_unqualified_type_names = True

# Other projects' pages are not looked up: that would need the network. Names without a page here are left as text.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(aiohttp|asyncio|collections|datetime|decimal|enum|metrics|pathlib|redis|ssl|timedelta|trace|types|typing|tzinfo)\b.*",
    ),
    ("py:.*", r"(bool|bytes|dict|float|frozenset|int|list|object|os\.PathLike|str|tuple|type|None|Self)"),
    ("py:.*", r"Redis|RedisCluster|DltResource|(contextlib|pa|pyarrow)\..*"),
    # The choices of the simulator's switches, which each switch names.
    ("py:class", r"ActiveFilter|ActiveDefault|Order|SerialNumberType|FieldProfile|OldRefreshToken|RefreshReuse"),
    ("py:class", r"LimitKeeps|RangeFilter|EmptyResponse|Place"),
    # Aliases and small types in signatures, which the text beside them explains.
    ("py:class", r"(.*\.)?JsonValue|OnEvent|smappee_async\.(errors\.RangeBounds|secret\.Secret)"),
    ("py:class", r"smappee_async\.query\.(session_query\.QueryOptions|seen\.HasColumns)"),
]


class JsonValue:
    """Stands in for the alias of this name, which autodoc writes out whole wherever it is used."""


_JSON_VALUE: Final = models.JsonValue
for module in [module for name, module in sys.modules.items() if name.startswith(client.__name__.partition(".")[0])]:
    if vars(module).get("JsonValue") is _JSON_VALUE:
        vars(module)["JsonValue"] = JsonValue

_PUBLIC: Final = (
    "smappee_async",
    "smappee_async.distributed",
    "smappee_async.report",
    "smappee_async.simulator",
    "smappee_async.testing",
)


def resolve_public(app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: Any) -> Any:
    """Annotations name the module in which a class is written; the reference has it under its public name."""
    name = node.get("reftarget", "").rpartition(".")[2]
    for module in _PUBLIC:
        if name in importlib.import_module(module).__all__:
            domain = env.domains.python_domain
            target = f"{module}.{name}"
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
    return None


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", resolve_public)
