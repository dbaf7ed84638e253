"""Sphinx configuration: ``sphinx-build -W docs docs/_build``."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sb3_fpac  # noqa: E402

project = "sb3-fpac"
author = "The sb3-fpac developers"
copyright = author
release = version = sb3_fpac.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True  # every reference to a name of this package must resolve
nitpick_ignore_regex = [("py:.*", r"(?!sb3_fpac).*|.*\.(_|Self)\w+")]

html_theme = "furo"
html_title = f"{project} {release}"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

myst_heading_anchors = 3


def resolve_exported(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Link ``sb3_fpac.envs.CameraShift`` to ``sb3_fpac.CameraShift``, the same object under the name that is documented."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if not module.startswith("sb3_fpac.") or module not in sys.modules or not hasattr(sb3_fpac, name):
        return None
    if getattr(sys.modules[module], name, None) is not getattr(sb3_fpac, name):
        return None
    domain = env.domains["py"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], f"sb3_fpac.{name}", node, contnode)


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("missing-reference", resolve_exported)
