"""What the commands of `hydra-gateway` do, a module for each noun; the options are cli.py's.

A command takes its parsed options and returns the exit code. cli.py imports a module only to run
one of its commands, so that what is heavy is imported at the top here.
"""
