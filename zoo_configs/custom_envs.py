"""RL Zoo imports a module of this name, if there is one, before it looks for an environment. This one brings sb3-fpac."""

import warnings

try:
    import sb3_fpac.zoo  # noqa: F401
except ImportError as error:  # which RL Zoo would swallow
    warnings.warn(f"The dmc-* environments of sb3-fpac are not available: {error}", stacklevel=1)
