"""The paper's experiments, each one command: many runs of RL Zoo, and a figure and a table of them."""
