"""`hydra-gateway doctor`: what is misconfigured around a gateway, and how to mend it.

Looks only. What it examines is read once (installation.py); each check is a plain function from
that to findings, and examination.py lists them.
"""
