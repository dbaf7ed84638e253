"""The command ``watch``: a video of a trained agent with its feature points."""

import argparse

from sb3_fpac.cli.watch import MAPS
from sb3_fpac.commands.agents import load_named_agent
from sb3_fpac.commands.devices import check_device
from sb3_fpac.commands.output import check_output, say
from sb3_fpac.optional import needs
from sb3_fpac.visualization.agents import find_extractor
from sb3_fpac.visualization.episode import Indices, record_episode
from sb3_fpac.visualization.ranking import rank_points
from sb3_fpac.visualization.video import (
    VIDEOS,
    check_ffmpeg,
    check_scale,
    render_episode,
    render_maps,
    render_moments,
    side_by_side,
    write_image,
    write_video,
)

with needs("viz"):
    from tqdm import tqdm

_LOWEST_FPS = 0.01  # a GIF shows a picture for at most ten minutes


def run(args: argparse.Namespace) -> None:
    """
    Load the agent, play episodes, write the file, and print its path.

    :param args: The parsed options of :func:`sb3_fpac.cli.watch.add_arguments`
    :raises ValueError: if a picture of several episodes is asked for, the file exists, there is no such agent or device, or
        the agent has no feature points
    """
    output = check_output(args)
    if args.episodes > 1 and output.suffix == ".png":
        raise ValueError(f"A picture shows one episode, got --episodes {args.episodes}: write .mp4 or .gif.")
    if args.max_steps == 1 and (args.top or args.maps):
        raise ValueError("--top and --maps rank points by how they change: pass --max-steps 2 or more.")
    if args.fps is not None and args.fps < _LOWEST_FPS:
        raise ValueError(f"--fps must be at least {_LOWEST_FPS}, got {args.fps}.")
    if output.suffix == ".mp4":
        check_ffmpeg()
    model, env, path = load_named_agent(args, seed=args.seed, device=check_device(args.device))
    is_video = output.suffix in VIDEOS
    episodes = []
    try:
        images = find_extractor(model).images.values()  # before anything is played
        check_scale(max(max(image.layout.height, image.layout.width) for image in images), args.scale)
        fps = args.fps or env.get_attr("metadata")[0].get("render_fps") or 30
        with tqdm(unit=" steps", desc=f"Playing {path}", disable=args.quiet) as progress:
            for _ in range(args.episodes):
                episodes.append(record_episode(model, env, not args.stochastic, args.max_steps, progress.update))
    finally:
        env.close()

    drawn: Indices | None = None
    mapped: Indices = []
    if args.top or args.maps:
        order = rank_points(model, episodes[0].observations).points
        drawn = order[: args.top] if args.top else None
        mapped = order[: args.top or MAPS] if args.maps else []
    if is_video:
        moments = [(episode, t) for episode in episodes for t in range(len(episode.rewards))]
        pictures = (picture for episode in episodes for picture in render_episode(episode, drawn, args.scale))
        if args.maps:
            maps = (render_maps(model, episode, t, mapped, columns=2) for episode, t in moments)
            pictures = (side_by_side(*pair) for pair in zip(pictures, maps, strict=True))
        write_video(
            output, tqdm(pictures, total=len(moments), unit=" pictures", desc=f"Writing {output}", disable=args.quiet), fps
        )
    elif args.maps:
        write_image(output, render_maps(model, episodes[0], len(episodes[0].rewards) // 2, mapped))
    else:
        write_image(output, render_moments(episodes[0], drawn, args.scale))
    returns = [float(episode.rewards.sum()) for episode in episodes]
    rounded = ", ".join(f"{each:.1f}" for each in returns)
    sentence = f"{output}: {len(episodes)} episode{'s' * (len(episodes) > 1)} with a return of {rounded}"
    say(args, sentence, file=str(output), model=str(path), returns=returns, steps=[len(each.rewards) for each in episodes])
