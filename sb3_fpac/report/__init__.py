"""Runs of RL Zoo in one HTML page: learning curves, scores, hyperparameters, and what an agent looks at."""
