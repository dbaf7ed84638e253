"""Looks at the first images on which an agent acts."""

import warnings

import torch as th

from sb3_fpac.observations import Layout, look_like_grey_frames, problem_of_header, write_option

_N_TO_COMPARE = 20


class FirstImages:
    """
    Checks the range and the header plane of the first image on which an agent acts, and whether the first 20 are black, or
    look like grey frames though they are read as colours. Later images cost nothing.

    :param layout: What the images are taken for
    :param scale: What the extractor multiplies them by to get [0, 1]
    :param extractor: Name of the class, for errors
    """

    def __init__(self, layout: Layout, scale: float, extractor: str) -> None:
        self.layout, self.scale, self.extractor = layout, scale, extractor
        self.n_to_compare = _N_TO_COMPARE
        self._range_is_checked = False
        self._past: th.Tensor | None = None
        self._are_black = True

    def skip(self) -> None:
        """Look at no image: a trace would contain what was seen in the first."""
        self._range_is_checked, self.n_to_compare = True, 0

    def look(self, observations: th.Tensor, key: str | None) -> None:
        """
        Look at an image, if it is one of the first.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :param key: Of the image in a Dict observation, for errors and warnings
        :raises ValueError: if the values of the first image are outside the range that the extractor expects
        """
        of_image = "" if key is None else f"Image {key!r}: "
        if not self._range_is_checked:
            self._check_range(observations, of_image)
            if self.layout.camera_shift and not th.jit.is_tracing():
                self._check_header(observations, key, of_image)
            self._range_is_checked = True
        if self.n_to_compare and not (th.jit.is_tracing() or th.compiler.is_compiling()):
            self._compare_with_past(observations[:, 1:] if self.layout.camera_shift else observations, key, of_image)

    def _check_range(self, observations: th.Tensor, of_image: str) -> None:
        highest = 1 / self.scale
        if observations.numel() and not (observations.min() >= 0 and observations.max() <= highest * (1 + 1e-6)):
            raise ValueError(
                f"{of_image}Images reach {self.extractor} with values from {observations.min():.4g} to "
                f"{observations.max():.4g} instead of 0 to {highest:.0f}: use a uint8 space, or with normalize_images=False "
                "pass features_extractor_kwargs=dict(normalized_image=True)."
            )
        if observations.numel() and 0 < observations.max() <= highest / 255 * (1 + 1e-6):
            highest_byte = float(observations.max() * self.scale * 255)
            warnings.warn(
                f"{of_image}The first images have values up to {highest_byte:.3g} of 255, as if they were 0 and 1, "
                "or had been divided by 255 before: pass values from 0 to 255.",
                stacklevel=2,
            )

    def _check_header(self, observations: th.Tensor, key: str | None, of_image: str) -> None:
        problem = problem_of_header(observations[:, 0], self.layout.n_frames - 1, write_option(key, "camera_shift", False))
        if problem is not None:  # or it is a sample of the space, on which someone tries the agent
            warnings.warn(f"{of_image}{problem}", stacklevel=2)

    def _compare_with_past(self, images: th.Tensor, key: str | None, of_image: str) -> None:
        past, self._past = self._past, images
        self._are_black = self._are_black and bool(images.max() * self.scale <= 1 / 254)  # SB3 casts no last one
        self.n_to_compare -= 1
        if past is not None and self.layout.frame_channels > 1 and look_like_grey_frames(past, images):
            warnings.warn(
                f"{of_image}The {images.shape[1]} channels of the observations move along by one at every step: they "
                f"look like {images.shape[1]} grey frames, but are read as {self.layout}. Pass "
                f"features_extractor_kwargs=dict({write_option(key, 'frame_channels', 1)}).",
                stacklevel=2,
            )
            self.n_to_compare = 0
        if not self.n_to_compare:
            self._past = None
            if self._are_black:
                warnings.warn(
                    f"{of_image}The first {_N_TO_COMPARE} images that the agent sees are black: return uint8 from 0 to 255, "
                    "since SB3 converts floats in [0, 1] to 0, and check that the environment draws.",
                    stacklevel=2,
                )
