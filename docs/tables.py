"""
Writes the tables of the pages that repeat what the code says, so that they can be read without Sphinx.

A table stands between ``<!-- table: name -->`` and ``<!-- end -->``. Run it after the code has changed:
``python docs/tables.py``.
"""

import inspect
import re
from pathlib import Path

import yaml

import sb3_fpac
from sb3_fpac.envs import TASKS

DOCS = Path(__file__).resolve().parent


def task_table() -> str:
    """Every id with its steps, from the task table of the package and the YAML that RL Zoo reads."""
    training = yaml.safe_load((DOCS.parent / "zoo_configs" / "sac.yml").read_text(encoding="utf-8"))
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


TABLES = dict(task_table=task_table, hyperparameter_table=hyperparameter_table, fpac_table=fpac_table)


def with_tables(page: str) -> str:
    """
    Replace the tables of a page.

    :param page: Its text
    :return: The text with the tables as the code is now
    """
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}",
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if with_tables(text) != text:
            path.write_text(with_tables(text), encoding="utf-8")
            print(path)
