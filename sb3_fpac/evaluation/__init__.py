"""
The files that training runs left on disk, and published scores to compare with. Learning curves and tables need the extra
``viz``: import them from :mod:`sb3_fpac.evaluation.curves` and :mod:`sb3_fpac.evaluation.tables`.
"""

from sb3_fpac.evaluation.parts import join_parts, read_runs
from sb3_fpac.evaluation.published import PublishedScore, published_scores
from sb3_fpac.evaluation.run_files import EpisodeEnd, Evaluations, read_episodes, read_evaluations
from sb3_fpac.evaluation.runs import Run, read_run

__all__ = [
    "EpisodeEnd",
    "Evaluations",
    "PublishedScore",
    "Run",
    "join_parts",
    "published_scores",
    "read_episodes",
    "read_evaluations",
    "read_run",
    "read_runs",
]
