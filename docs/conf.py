"""Sphinx configuration: ``sphinx-build -W docs docs/_build``."""

import inspect
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sb3_fpac  # noqa: E402
from sb3_fpac.envs import TASKS  # noqa: E402

project = "sb3-fpac"
author = "The sb3-fpac developers"
copyright = author
release = version = sb3_fpac.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = True  # every reference to a name of this package must resolve
nitpick_ignore_regex = [("py:.*", r"(?!sb3_fpac).*|.*\._\w+")]

html_theme = "furo"
html_title = f"{project} {release}"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

myst_heading_anchors = 3
myst_enable_extensions = ["substitution"]


def task_table() -> str:
    """Every id with its steps, from the task table of the package and the YAML that RL Zoo reads."""
    training = yaml.safe_load((ROOT / "zoo_configs" / "sac.yml").read_text())
    rows = ["| id | action repeat | agent steps in an episode | agent steps of training |", "| --- | ---: | ---: | ---: |"]
    for env_id, task in TASKS.items():
        n_timesteps = f"{training[env_id]['n_timesteps']:,}"
        rows.append(f"| `{env_id}` | {task.action_repeat} | {1000 // task.action_repeat} | {n_timesteps} |")
    return "\n".join(rows)


def hyperparameter_table() -> str:
    """The keyword arguments of ``fpac_hyperparams``."""
    rows = ["| keyword | value |", "| --- | --- |"]
    rows += [f"| `{name}` | `{value!r}` |" for name, value in sb3_fpac.fpac_hyperparams.items()]
    return "\n".join(rows)


def fpac_table() -> str:
    """The defaults of ``FPAC`` that Table I sets."""
    parameters = inspect.signature(sb3_fpac.FPAC).parameters
    rows = ["| parameter | default |", "| --- | --- |"]
    rows += [f"| `{name}` | `{parameters[name].default!r}` |" for name in sb3_fpac.fpac_hyperparams]
    return "\n".join(rows)


myst_substitutions = {
    "n_tasks": str(len(TASKS)),
    "task_table": task_table(),
    "hyperparameter_table": hyperparameter_table(),
    "fpac_table": fpac_table(),
}


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
