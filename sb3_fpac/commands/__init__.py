"""What the commands of ``python -m sb3_fpac`` do: each module runs one, whose arguments are in :mod:`sb3_fpac.cli`."""
