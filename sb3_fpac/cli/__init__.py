"""The commands of ``python -m sb3_fpac``: each module adds its arguments to a parser and runs the command."""
