"""One HTML page about runs of RL Zoo: learning curves, scores, hyperparameters, and what an agent looks at."""

from sb3_fpac.report.page import write_report

__all__ = ["write_report"]
