"""Files of strangers: SB3's pickles are read as data, and refused if they are more than that."""

from sb3_fpac.files import UntrustedFileError
from sb3_fpac.trust.loading import load_model, load_normalization, load_pickle

__all__ = ["UntrustedFileError", "load_model", "load_normalization", "load_pickle"]
