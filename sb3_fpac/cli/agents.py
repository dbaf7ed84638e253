"""Options that name a trained agent, for the commands that load one."""

import argparse
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.cli.arguments import add_env
from sb3_fpac.optional import needs_viz

with needs_viz():
    from sb3_fpac.zoo.saved_agents import find_agent, find_model, load_agent


def add_agent(parser: argparse.ArgumentParser) -> None:
    """
    Add the options that name an agent. Those that RL Zoo's ``enjoy`` has, too, have the same names.

    :param parser: Gets the options
    """
    add = parser.add_argument
    add("--agent", type=Path, metavar="RUN", help="folder of a run, instead of --algo, --env, --folder and --exp-id")
    add("--algo", default="fpac", help="algorithm of the agent, as RL Zoo calls it (default: %(default)s)")
    add_env(parser, required=False)
    add("-f", "--folder", type=Path, default=Path("logs"), help="RL Zoo's log folder (default: %(default)s)")
    add("--exp-id", type=int, default=0, help="number of the run (default: the latest)")
    add("--load-best", action="store_true", help="load the best model of the run instead of the last one")
    add("--model", type=Path, help="zip file of a model, instead of a run in the folder")


def load_named_agent(args: argparse.Namespace, **kwargs: Any) -> tuple[BaseAlgorithm, VecEnv, Path]:
    """
    Load the agent that the options of :func:`add_agent` name.

    :param args: The parsed options
    :param kwargs: As ``seed`` and ``device`` of :func:`~sb3_fpac.zoo.saved_agents.load_agent`
    :return: The agent, its environment, and the file
    :raises ValueError: if there is no such agent
    """
    algo, env_id, path = args.algo, args.env, args.model
    if args.agent is not None:
        algo, env_id, path = find_agent(args.agent, args.load_best)
    elif env_id is None:
        raise ValueError("Name the agent's environment with --env, or the folder of its run with --agent.")
    elif path is None:
        path = find_model(args.folder, algo, env_id, args.exp_id, args.load_best)
    model, env = load_agent(path, algo, env_id, args.env_kwargs, gym_packages=args.gym_packages, **kwargs)
    return model, env, path
