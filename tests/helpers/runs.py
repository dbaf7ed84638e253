"""Run folders as RL Zoo and the experiments leave them, without training."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CARTPOLE = "dmc-cartpole-swingup"  # an action repeat of 8


def write_settings(folder: Path, config: dict[str, Any], env: str, **args: Any) -> Path:
    """The arguments and the hyperparameters of a run of ``env``"""
    settings = folder / env
    settings.mkdir(parents=True)
    (settings / "args.yml").write_text(yaml.dump(OrderedDict(env=env, **args)))
    (settings / "config.yml").write_text(yaml.dump(OrderedDict(config)))
    return folder


def write_evaluations(folder: Path, steps: Sequence[int], returns: Any, lengths: Any = None) -> None:
    """The evaluations: returns (and lengths) have one row a step and one column an episode"""
    lengths = np.ones_like(returns, dtype=int) if lengths is None else lengths  # SB3 always writes some
    np.savez(folder / "evaluations.npz", timesteps=steps, results=returns, ep_lengths=lengths)


def write_monitor(path: Path, episodes: Sequence[tuple], start: float = 1.0, env: str = "x", extra: str = "") -> None:
    """The training episodes: reward, length, seconds since start, and what the extra columns have"""
    rows = "".join(",".join(map(str, episode)) + "\n" for episode in episodes)
    path.write_text(f'#{{"t_start": {start}, "env_id": "{env}"}}\nr,l,t{extra}\n{rows}')


def make_run(
    folder: Path,
    algo: str = "fpac",
    env: str = CARTPOLE,
    seed: int = 1,
    steps=(1250, 2500),
    returns=((1.0, 3.0), (5.0, 7.0)),
    env_kwargs: dict | None = None,
    args: dict | None = None,
    **config,
) -> Path:
    """A folder as RL Zoo leaves it"""
    arguments = dict(algo=algo, env_kwargs=env_kwargs, n_timesteps=-1, seed=seed) | (args or {})
    write_settings(folder, {"policy": "CnnPolicy", **config}, env, **arguments)
    if steps is not None:
        write_evaluations(folder, steps, np.asarray(returns)[: len(steps)])
    return folder
