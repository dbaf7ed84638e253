"""The tasks of dm_control.suite: ids, action repeats and lengths. Does not import dm_control."""

from typing import NamedTuple


class Task(NamedTuple):
    """A task of ``dm_control.suite``, as ``suite.load(domain, task)`` names it."""

    domain: str
    task: str

    @property
    def env_id(self) -> str:
        """The Gymnasium id: ``dmc-``, then the suite's names with hyphens throughout: ``dmc-ball-in-cup-catch``."""
        return f"dmc-{self.domain}-{self.task}".replace("_", "-")

    @property
    def action_repeat(self) -> int:
        """Env steps for each agent step: PlaNet's for its six tasks, 2 elsewhere (Table I)."""
        return _PLANET_ACTION_REPEATS.get(self, 2)

    @property
    def time_limit(self) -> float | None:
        """Seconds of an episode where dm_control sets no limit (LQR): 1000 env steps, as everywhere else."""
        return 30.0 if self.domain == "lqr" else None


_TASKS_BY_DOMAIN = {
    "acrobot": "swingup swingup_sparse",
    "ball_in_cup": "catch",
    "cartpole": "balance balance_sparse swingup swingup_sparse two_poles three_poles",
    "cheetah": "run",
    "dog": "stand walk trot run fetch",
    "finger": "spin turn_easy turn_hard",
    "fish": "upright swim",
    "hopper": "stand hop",
    "humanoid": "stand walk run run_pure_state",
    "humanoid_CMU": "stand walk run",
    "lqr": "lqr_2_1 lqr_6_2",
    "manipulator": "bring_ball bring_peg insert_ball insert_peg",
    "pendulum": "swingup",
    "point_mass": "easy hard",
    "quadruped": "walk run escape fetch",
    "reacher": "easy hard",
    "stacker": "stack_2 stack_4",
    "swimmer": "swimmer6 swimmer15",
    "walker": "stand walk run",
}

_PLANET_ACTION_REPEATS = {
    Task("cartpole", "swingup"): 8,
    Task("reacher", "easy"): 4,
    Task("cheetah", "run"): 4,
    Task("finger", "spin"): 2,
    Task("ball_in_cup", "catch"): 4,
    Task("walker", "walk"): 2,
}

TASKS: dict[str, Task] = {
    task.env_id: task for domain, names in _TASKS_BY_DOMAIN.items() for task in (Task(domain, name) for name in names.split())
}
"""Every task by its Gymnasium id."""
