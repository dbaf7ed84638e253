"""The command ``pretrain``: feature points from the frames of a random policy."""

import argparse

import gymnasium as gym
import numpy as np

from sb3_fpac.commands.devices import check_device
from sb3_fpac.commands.output import check_output, say
from sb3_fpac.optional import needs
from sb3_fpac.pretraining.frames import collect_frames
from sb3_fpac.pretraining.picture import render_reconstructions
from sb3_fpac.pretraining.training import Pretraining, pretrain

with needs("viz"):
    from tqdm import tqdm

    from sb3_fpac.visualization.video import write_image
    from sb3_fpac.zoo.environments import find_env


def run(args: argparse.Namespace) -> None:
    """
    Collect frames, pre-train, write the points and a picture of reconstructions, and print their paths.

    :param args: The parsed options of :func:`sb3_fpac.cli.pretrain.add_arguments`
    :raises ValueError: if there is no such environment, image, device or folder, or the loss diverges
    """
    picture = args.output.with_suffix(".png")
    output = check_output(args, picture)
    check_device(args.device)
    episodes = _play(args)
    pretraining = _pretrain(args, episodes)
    pretraining.save(output)
    write_image(picture, render_reconstructions(pretraining, episodes))
    loss = float(pretraining.losses[-100:].mean())
    sentence = f"{output}: {args.n_points} points, loss {loss:.5f} (last updates); see {picture}"
    say(args, sentence, file=str(output), picture=str(picture), loss=loss)


def _play(args: argparse.Namespace) -> list[np.ndarray]:
    """The frames of every episode of a random policy"""
    env_id = find_env(args.env, args.gym_packages)
    try:
        env = gym.make(env_id, **args.env_kwargs)
    except (TypeError, RuntimeError) as error:  # an unknown keyword; nothing to draw with
        raise ValueError(f"{args.env} cannot be made with {args.env_kwargs}: {error}") from error
    try:
        with tqdm(total=args.frames, unit=" frames", desc=f"Playing {args.env} at random", disable=args.quiet) as progress:
            return collect_frames(
                env,
                args.frames,
                seed=args.seed,
                frame_channels=args.frame_channels,
                strides=args.strides,
                anti_aliasing=args.anti_aliasing,
                on_frame=progress.update,
                key=args.key,
            )
    finally:
        env.close()


def _pretrain(args: argparse.Namespace, episodes: list[np.ndarray]) -> Pretraining:
    with tqdm(total=args.updates, unit=" updates", desc="Pre-training", disable=args.quiet) as progress:

        def show(loss: float) -> None:
            progress.set_postfix(loss=f"{loss:.5f}", refresh=False)
            progress.update()

        try:
            return pretrain(
                episodes,
                n_points=args.n_points,
                temperature=args.temperature,
                softmax=args.softmax,
                strides=args.strides,
                anti_aliasing=args.anti_aliasing,
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
