"""Loads the agent that the options of a command name."""

import argparse
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.optional import needs

with needs("viz"):
    from sb3_fpac.zoo.saved_agents import find_agent, find_model, load_agent


def load_named_agent(args: argparse.Namespace, **kwargs: Any) -> tuple[BaseAlgorithm, VecEnv, Path]:
    """
    Load the agent that the options of :func:`sb3_fpac.cli.agents.add_agent` name.

    :param args: The parsed options
    :param kwargs: As ``seed`` and ``device`` of :func:`~sb3_fpac.zoo.saved_agents.load_agent`
    :return: The agent, its environment, and the file
    :raises ValueError: if there is no such agent
    """
    algo, env_id, path = args.algo or "fpac", args.env, args.model
    if args.agent is not None:
        others = [name for name in ("algo", "env", "folder", "exp_id", "model") if getattr(args, name) is not None]
        if others:
            options = " and ".join(f"--{name.replace('_', '-')}" for name in others)
            raise ValueError(f"--agent is a run with its own algorithm, environment and model: leave out {options}.")
        algo, env_id, path = find_agent(args.agent, args.load_best, args.trust)
    elif env_id is None:
        raise ValueError("Name the agent's environment with --env, or the folder of its run with --agent.")
    elif path is None:
        path = find_model(args.folder or Path("logs"), algo, env_id, args.exp_id or 0, args.load_best)
    model, env = load_agent(
        path,
        algo,
        env_id,
        args.env_kwargs,
        gym_packages=args.gym_packages,
        trust=args.trust,
        named_by_run=args.agent is not None,
        **kwargs,
    )
    return model, env, path
