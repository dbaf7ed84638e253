"""Arguments of ``pretrain``: feature points from the frames of a random policy."""

import argparse

from sb3_fpac.cli.arguments import add_device, add_env, add_output, add_seed, at_least, positive_float, positive_int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac pretrain``.

    :param parser: Gets the options
    """
    add = parser.add_argument
    add_env(parser)
    add_output(parser, "points.pt", ".pt")
    add("--frames", type=at_least(2), default=10_000, help="frames of a random policy (default: %(default)s)")
    add("--updates", type=positive_int, default=4000, help="updates of encoder and decoder (default: %(default)s)")
    add("--batch-size", type=positive_int, default=32, help="pairs of frames of an update (default: %(default)s)")
    add("--learning-rate", type=positive_float, default=1e-3, help="learning rate of Adam (default: %(default)s)")
    add("--n-points", type=positive_int, default=32, help="number of feature points (default: %(default)s)")
    add("--temperature", type=positive_float, default=0.5, help="temperature of the softmax (default: %(default)s)")
    add("--softmax", default="separable", choices=["separable", "full"], help="kind of softmax (default: %(default)s)")
    add("--key", metavar="IMAGE", help="key of the image in Dict observations (default: the only image)")
    add("--frame-channels", type=positive_int, default=3, help="3 for RGB, 1 for grey frames (default: %(default)s)")
    add(
        "--strides",
        type=positive_int,
        nargs="+",
        default=[2, 1, 1, 1],
        help="stride of every 3×3 convolution (default: 2 1 1 1, the paper's)",
    )
    add("--anti-aliasing", action="store_true", help="blur what convolutions with a stride above 1 read")
    add("--sigma", type=positive_float, default=0.1, help="width of the Gaussians drawn at the points (default: %(default)s)")
    add_seed(parser, "environment, actions and weights")
    add_device(parser)
