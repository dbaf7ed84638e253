"""What this package changes in Stable-Baselines3's algorithms."""

from sb3_fpac.sb3.setup import register_setup

__all__ = ["register_setup"]

register_setup()
