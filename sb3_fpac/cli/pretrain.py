"""Pre-training from the command line."""

import argparse
from pathlib import Path

import gymnasium as gym
import torch as th
from stable_baselines3.common.utils import get_device

from sb3_fpac.optional import needs_viz
from sb3_fpac.pretraining.frames import collect_frames
from sb3_fpac.pretraining.picture import render_reconstructions
from sb3_fpac.pretraining.training import pretrain

with needs_viz():
    from rl_zoo3.utils import StoreDict
    from tqdm import tqdm

    from sb3_fpac.visualization.video import write_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    The options of ``python -m sb3_fpac pretrain``.

    :param parser: Gets them
    """
    parser.add_argument("--env", required=True, help="environment id")
    parser.add_argument("-o", "--output", type=Path, default=Path("points.pt"), help=".pt file (default: points.pt)")
    parser.add_argument("--frames", type=int, default=10_000, help="frames of a random policy (default: 10000)")
    parser.add_argument("--updates", type=int, default=4000, help="updates of encoder and decoder (default: 4000)")
    parser.add_argument("--batch-size", type=int, default=32, help="pairs of frames in an update (default: 32)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of Adam (default: 0.001)")
    parser.add_argument("--n-points", type=int, default=32, help="number of feature points (default: 32)")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the softmax (default: 0.5)")
    parser.add_argument("--softmax", default="separable", choices=["separable", "full"], help="(default: separable)")
    parser.add_argument("--frame-channels", type=int, default=3, choices=[1, 3], help="1 for grey frames (default: 3)")
    parser.add_argument("--sigma", type=float, default=0.1, help="of the Gaussians that points become (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of environment, actions and weights (default: 0)")
    parser.add_argument("--device", default="auto", help="PyTorch device (default: auto)")
    parser.add_argument("--env-kwargs", nargs="+", action=StoreDict, help="keyword arguments of the environment: key:value")


def run(args: argparse.Namespace) -> None:
    """
    Collect frames, pre-train, write the points and a picture of reconstructions, and say where they are.

    :param args: What :func:`add_arguments` has parsed
    :raises ValueError: if an argument is out of range, there is no such environment or folder, or the loss diverges
    """
    output: Path = args.output
    if output.suffix != ".pt":
        raise ValueError(f"--output must end in .pt, got {output}.")
    if not output.parent.is_dir():
        raise ValueError(f"There is no folder {output.parent} for {output.name}: make it first.")
    for name in ("frames", "updates", "batch_size", "n_points"):
        lowest = 2 if name == "frames" else 1
        if getattr(args, name) < lowest:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {lowest}, got {getattr(args, name)}.")
    for name in ("learning_rate", "temperature", "sigma"):
        if not getattr(args, name) > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be positive, got {getattr(args, name)}.")
    try:
        th.empty(0, device=get_device(args.device))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"PyTorch has no device {args.device!r}: {str(error).splitlines()[0]}") from error
    try:
        env = gym.make(args.env, **(args.env_kwargs or {}))
    except gym.error.Error as error:
        raise ValueError(f"There is no environment {args.env!r}: {error}") from error
    except (TypeError, RuntimeError) as error:  # an unknown keyword; nothing to draw with
        raise ValueError(f"{args.env} cannot be made with {args.env_kwargs or {}}: {error}") from error
    try:
        with tqdm(total=args.frames, unit=" frames", desc=f"Playing {args.env} at random") as progress:
            episodes = collect_frames(env, args.frames, args.seed, args.frame_channels, progress.update)
    finally:
        env.close()
    with tqdm(total=args.updates, unit=" updates", desc="Pre-training") as progress:

        def show(loss: float) -> None:
            progress.set_postfix(loss=f"{loss:.5f}", refresh=False)
            progress.update()

        try:
            pretraining = pretrain(
                episodes,
                n_points=args.n_points,
                temperature=args.temperature,
                softmax=args.softmax,
                sigma=args.sigma,
                n_updates=args.updates,
                batch_size=args.batch_size,
                learning_rate=args.learning_rate,
                seed=args.seed,
                device=args.device,
                on_update=show,
            )
        except FloatingPointError as error:
            raise ValueError(str(error)) from error
    pretraining.save(output)
    picture = output.with_suffix(".png")
    write_image(picture, render_reconstructions(pretraining, episodes))
    print(f"{output}: {args.n_points} points, loss {pretraining.losses[-100:].mean():.5f} (last updates); see {picture}")
