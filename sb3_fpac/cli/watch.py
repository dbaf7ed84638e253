"""Arguments of ``watch``: a video of a trained agent with its feature points."""

import argparse

from sb3_fpac.cli.agents import add_agent
from sb3_fpac.cli.arguments import add_device, add_output, add_seed, positive_float, positive_int

MAPS = 4  # number of feature maps without --top


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac watch``. Options that RL Zoo's ``enjoy`` has, too, have the same names.

    :param parser: Gets the options
    """
    add = parser.add_argument
    add_agent(parser)
    add_output(parser, "agent.mp4", ".mp4", ".gif", ".png")
    add("-n", "--episodes", type=positive_int, default=1, help="number of episodes (default: %(default)s)")
    add("--top", type=positive_int, metavar="N", help="draw the N points that matter most to the agent (default: all)")
    add("--maps", action="store_true", help=f"draw feature maps, too, of the top N points; without --top of the top {MAPS}")
    add("--scale", type=positive_int, default=6, help="pixels per pixel of the largest frame (default: %(default)s)")
    add("--fps", type=positive_float, help="frames per second of the video (default: real time)")
    add("--max-steps", type=positive_int, help="agent steps after which an episode is stopped")
    add("--stochastic", action="store_true", help="sample actions instead of taking their mean")
    add_seed(parser, "the environment")
    add_device(parser)
