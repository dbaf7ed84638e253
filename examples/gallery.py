"""
Makes the gallery of the documentation, docs/gallery.md and its pictures, from trained agents.

Usage: python examples/gallery.py dmc-cartpole-swingup=checkpoints/cartpole-0/step_12500/model.zip [...] [--docs docs]
"""

import argparse
from pathlib import Path

import numpy as np

from sb3_fpac.envs import TASKS
from sb3_fpac.visualization import draw_strip
from sb3_fpac.visualization.episode import Episode, record_episode
from sb3_fpac.visualization.ranking import rank_points
from sb3_fpac.visualization.video import render_episode, render_maps, render_moments, write_image, write_video
from sb3_fpac.zoo.saved_agents import load_agent

TOP = 8  # points that are drawn
STRIP = 8  # successive frames of one point

HEAD = """# Gallery

These pictures show the feature points of trained agents. The agents with numbers were trained with `FPAC("CnnPolicy", env)`
and the paper's hyperparameters. This command made their pictures, from checkpoints that are not part of the repository:

```bash
python examples/gallery.py {arguments}
```
"""

TWO_CAMERAS = """
## Two cameras: the Fetch arm

The gripper has to reach the red ball, which only the images show. The agent sees two cameras and where its own gripper is.
`python examples/robot_arm.py --steps 40000` trained it and made these pictures. See [the Fetch arm](robots.md#the-fetch-arm).

Four moments of an episode, with the points of both cameras:

![Four moments from two cameras with all feature points](images/gallery/robot-arm_moments.png)

The share of 20 test episodes after which the gripper was less than 5 cm from the ball, for one seed:

![Success rate over agent steps](images/gallery/robot-arm_success.png)
"""

SECTION = """
## Agent {number}: {env_id}, after {env_steps:,} env steps

An episode with a return of {total:.0f}, with the {top} points of {n_points} that matter most to the agent (see
[Which points matter](visualization.md#which-points-matter)):

![An episode with feature points](images/gallery/{name}.gif)

Four moments of this episode, with all points:

![Four moments with all feature points](images/gallery/{name}_moments.png)

The feature maps of the four points that matter most, in the middle of the episode. Beside each map are the probabilities
p(x) and p(y), whose means are the point (Fig. 6 of the paper):

![Feature maps](images/gallery/{name}_maps.png)

The point of these {top} that moves most, number {point}, in {strip} successive frames (Fig. 7):

![One point in successive frames](images/gallery/{name}_strip.png)
"""


def liveliest(episode: Episode, indices: np.ndarray) -> tuple[int, int]:
    """The start of the STRIP frames in which a point moves most while it is present, and that point"""
    motion = (episode.speeds * (1 + episode.points[..., 2]))[:, indices]
    in_window = np.lib.stride_tricks.sliding_window_view(motion, STRIP, axis=0).sum(axis=-1)
    start, best = np.unravel_index(in_window.argmax(), in_window.shape)
    return int(start), int(indices[best])


def section(number: int, env_id: str, path: Path, images: Path) -> str:
    name = f"{env_id}-{number}"
    model, env = load_agent(path, "fpac", env_id, seed=1)
    episode = record_episode(model, env)
    order = rank_points(model, episode.observations).order
    env.close()
    start, point = liveliest(episode, order[:TOP])
    strip = draw_strip(*episode.draw_arguments(slice(start, start + STRIP)), indices=[point], scale=2)
    pictures = list(render_episode(episode, order[:TOP], scale=3))
    write_video(images / f"{name}.gif", pictures, fps=25)
    write_image(images / f"{name}_moments.png", render_moments(episode, scale=4))
    write_image(images / f"{name}_maps.png", render_maps(model, episode, len(pictures) // 2, order[:4]))
    write_image(images / f"{name}_strip.png", strip)
    return SECTION.format(
        number=number,
        env_id=env_id,
        env_steps=model.num_timesteps * TASKS[env_id].action_repeat,
        total=episode.rewards.sum(),
        top=TOP,
        n_points=len(order),
        name=name,
        point=point,
        strip=STRIP,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("agents", nargs="+", metavar="ENV=MODEL", help="environment id and model.zip of an agent")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    args = parser.parse_args()
    page = HEAD.format(arguments=" ".join(args.agents))
    for number, agent in enumerate(args.agents, start=1):
        env_id, _, path = agent.partition("=")
        page += section(number, env_id, Path(path), args.docs / "images" / "gallery")
    (args.docs / "gallery.md").write_text(page + TWO_CAMERAS, encoding="utf-8")


if __name__ == "__main__":
    main()
