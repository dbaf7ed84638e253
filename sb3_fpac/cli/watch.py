"""Watching a trained agent: its episodes as video, with its feature points."""

import argparse
from pathlib import Path

from sb3_fpac.optional import needs_viz
from sb3_fpac.visualization.episode import find_extractor, record_episode
from sb3_fpac.visualization.ranking import rank_points
from sb3_fpac.visualization.video import (
    VIDEOS,
    Indices,
    render_episode,
    render_maps,
    render_moments,
    side_by_side,
    write_image,
    write_video,
)

with needs_viz():
    from rl_zoo3.utils import StoreDict
    from tqdm import tqdm

    from sb3_fpac.zoo.saved_agents import find_model, load_agent

MAPS = 4  # feature maps beside a frame, unless --top says otherwise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    The options of ``python -m sb3_fpac watch``; where RL Zoo's ``enjoy`` has the same, they are called the same.

    :param parser: Gets them
    """
    parser.add_argument("--algo", default="fpac", help="algorithm of the agent, as RL Zoo calls it (default: fpac)")
    parser.add_argument("--env", required=True, help="environment id")
    parser.add_argument("-f", "--folder", type=Path, default=Path("logs"), help="RL Zoo's log folder (default: logs)")
    parser.add_argument("--exp-id", type=int, default=0, help="number of the run (default: the latest)")
    parser.add_argument("--load-best", action="store_true", help="the best model of the run instead of the last")
    parser.add_argument("--model", type=Path, help="a model's zip file, instead of a run in the folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("agent.mp4"), help=".mp4, .gif or .png (default: agent.mp4)")
    parser.add_argument("-n", "--episodes", type=int, default=1, help="episodes to play (default: 1)")
    parser.add_argument("--top", type=int, metavar="N", help="draw the N points that matter most to the agent (default: all)")
    parser.add_argument("--maps", action="store_true", help=f"feature maps, too, of the top N points (default: {MAPS})")
    parser.add_argument("--scale", type=int, default=6, help="pixels that a pixel of the frame becomes (default: 6)")
    parser.add_argument("--fps", type=float, help="pictures a second (default: real time)")
    parser.add_argument("--max-steps", type=int, help="agent steps after which an episode is broken off")
    parser.add_argument("--stochastic", action="store_true", help="draw actions instead of taking their mean")
    parser.add_argument("--seed", type=int, default=0, help="seed of the environment (default: 0)")
    parser.add_argument("--device", default="auto", help="PyTorch device (default: auto)")
    parser.add_argument("--env-kwargs", nargs="+", action=StoreDict, help="keyword arguments of the environment: key:value")


def run(args: argparse.Namespace) -> None:
    """
    Load the agent, play, write the file, and say where it is.

    :param args: What :func:`add_arguments` has parsed
    :raises ValueError: if an argument is out of range, or there is no such agent, or it has no feature points
    """
    output: Path = args.output
    if output.suffix not in (*VIDEOS, ".png"):
        raise ValueError(f"--output must end in .mp4, .gif or .png, got {output}.")
    for name in ("episodes", "top", "scale", "max_steps"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    if args.episodes > 1 and output.suffix == ".png":
        raise ValueError(f"A picture is of one episode, got --episodes {args.episodes}: write .mp4 or .gif.")
    if args.fps is not None and not args.fps > 0:
        raise ValueError(f"--fps must be positive, got {args.fps}.")
    path = args.model or find_model(args.folder, args.algo, args.env, args.exp_id, args.load_best)
    model, env = load_agent(path, args.algo, args.env, args.env_kwargs, args.seed, args.device)
    is_video = output.suffix in VIDEOS
    episodes = []
    try:
        find_extractor(model)  # before anything is played
        fps = args.fps or env.get_attr("metadata")[0].get("render_fps") or 30
        with tqdm(unit=" steps", desc=f"Playing {path}") as progress:
            for _ in range(args.episodes):
                episodes.append(record_episode(model, env, not args.stochastic, args.max_steps, progress.update))
    finally:
        env.close()

    drawn: Indices | None = None
    mapped: Indices = []
    if args.top or args.maps:
        order = rank_points(model, episodes[0].observations).order
        drawn = order[: args.top] if args.top else None
        mapped = order[: args.top or MAPS] if args.maps else []
    if is_video:
        moments = [(episode, t) for episode in episodes for t in range(len(episode.frames))]
        pictures = (picture for episode in episodes for picture in render_episode(episode, drawn, args.scale))
        if args.maps:
            maps = (render_maps(model, episode, t, mapped, columns=2) for episode, t in moments)
            pictures = (side_by_side(*pair) for pair in zip(pictures, maps, strict=True))
        write_video(output, tqdm(pictures, total=len(moments), unit=" pictures", desc=f"Writing {output}"), fps)
    elif args.maps:
        write_image(output, render_maps(model, episodes[0], len(episodes[0].frames) // 2, mapped))
    else:
        write_image(output, render_moments(episodes[0], drawn, args.scale))
    returns = ", ".join(f"{episode.rewards.sum():.1f}" for episode in episodes)
    print(f"{output}: {len(episodes)} episode{'s' * (len(episodes) > 1)} with a return of {returns}")
