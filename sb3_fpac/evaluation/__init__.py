"""What training runs left on disk: runs, learning curves, tables, and published scores to compare with."""

from sb3_fpac.evaluation.curves import Curve, learning_curves
from sb3_fpac.evaluation.published import PublishedScore, published_scores
from sb3_fpac.evaluation.runs import Run, read_run, read_runs
from sb3_fpac.evaluation.tables import hyperparameter_rows, mixed_settings, score_rows

__all__ = [
    "Curve",
    "PublishedScore",
    "Run",
    "hyperparameter_rows",
    "learning_curves",
    "mixed_settings",
    "published_scores",
    "read_run",
    "read_runs",
    "score_rows",
]
