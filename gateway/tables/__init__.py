"""What the commands found, as tables for a terminal; the same data as their JSON, for people."""
