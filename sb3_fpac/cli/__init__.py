"""
The arguments of ``python -m sb3_fpac``: each module adds those of one command to a parser. It imports nothing that takes long,
so that ``--help`` and wrong arguments are answered at once. What a command does is in :mod:`sb3_fpac.commands`.
"""
