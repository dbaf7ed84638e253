"""What several test files use: environments, models, run folders, fresh interpreters, things made once for all processes."""
