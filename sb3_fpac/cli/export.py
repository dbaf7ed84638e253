"""Arguments of ``export``: a trained agent as a file that runs without Stable-Baselines3, or can be shared."""

import argparse

from sb3_fpac.cli.agents import add_agent
from sb3_fpac.cli.arguments import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac export``. Options that RL Zoo's ``enjoy`` has, too, have the same names.

    :param parser: Gets the options
    """
    add_agent(parser)
    add_output(parser, "policy.onnx", ".onnx", ".pt", ".safetensors")
