"""HyDRA gateway: an OpenAI-compatible proxy that picks the cheapest model that is good enough."""

__version__ = "0.1.0.dev0"
