"""Measuring a router on recorded outcomes, and fitting a pool's modes to them.

`command` is what the command line calls; everything else is arithmetic on arrays. Nothing of a
running gateway imports this package.
"""
