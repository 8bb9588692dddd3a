"""Types of the module. The meaning of everything is in its documentation: help(visavis.FaceAnalyzer)."""

import os
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

__all__ = ["Face", "FaceAnalyzer", "HeadPose", "__version__", "analyze"]

__version__: str

_Path = str | os.PathLike[str]
_Image = npt.NDArray[np.uint8] | _Path | bytes | bytearray

@final
class HeadPose:
    """Degrees, as seen in the picture."""

    @property
    def yaw(self) -> float:
        """Above 0 where the nose points to the right edge of the picture."""

    @property
    def pitch(self) -> float:
        """Above 0 where the face looks up."""

    @property
    def roll(self) -> float:
        """Above 0 where the head is rotated clockwise; -180 to 180."""

@final
class Face:
    """A face of a picture. What no network estimated is None."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width and height in pixels; may extend beyond the edge of the picture."""

    @property
    def score(self) -> float:
        """Score of the detection, 0 to 1."""

    @property
    def turned(self) -> int:
        """Degrees, clockwise, by which the face is turned in the picture: 0, 90, 180 or 270."""

    @property
    def keypoints(self) -> npt.NDArray[np.float32] | None:
        """(5, 2): x and y in pixels of left eye, right eye, nose, left and right mouth corner."""

    @property
    def age(self) -> float | None:
        """Age in years."""

    @property
    def age_distribution(self) -> npt.NDArray[np.float32] | None:
        """(101,): the probability of each age from 0 to 100 years."""

    @property
    def gender(self) -> Literal["female", "male"] | None:
        """The more probable gender."""

    @property
    def female(self) -> float | None:
        """Probability of "female", 0 to 1; the rest is "male"."""

    @property
    def smiling(self) -> bool | None:
        """Whether the probability of a smile reaches the threshold of the network."""

    @property
    def smile(self) -> float | None:
        """Probability of a smile, 0 to 1."""

    @property
    def expression(self) -> str | None:
        """The most probable expression, such as "happiness"."""

    @property
    def expressions(self) -> dict[str, float] | None:
        """The probability of each expression, 0 to 1, by its name."""

    @property
    def head_pose(self) -> HeadPose | None:
        """The orientation of the head."""

    @property
    def embedding(self) -> npt.NDArray[np.float32] | None:
        """(n,), not normalised; n depends on the network."""

    def to_dict(self) -> dict[str, Any]:
        """The face as `visavis analyze` writes it as JSON."""

@final
class FaceAnalyzer:
    """Loads networks and analyses pictures with them."""

    def __new__(
        cls,
        *,
        detector: str | None = None,
        keypoints: str | None = None,
        age: str | None = None,
        gender: str | None = None,
        smile: str | None = None,
        expression: str | None = None,
        head_pose: str | None = None,
        embeddings: bool = False,
        similarity: str | None = None,
        engine: Literal["auto", "tract", "onnxruntime"] = "auto",
        detection_device: str = "cpu",
        recognition_device: str = "cpu",
        precision: Literal["auto", "single"] = "auto",
        threads: int = 1,
        onnxruntime: _Path | None = None,
        models: Sequence[_Path] | None = None,
        detector_size: tuple[int, int] | None = None,
        score: float | None = None,
        smallest_face: float = 0.0,
    ) -> FaceAnalyzer: ...
    def analyze(self, image: _Image) -> list[Face]:
        """The faces of a picture, the one with the highest score first."""

    @property
    def networks(self) -> dict[str, str]:
        """The name of the network of each task that is done."""

    @property
    def engine(self) -> Literal["tract", "onnxruntime"]:
        """The engine that runs the networks."""

def analyze(image: _Image, *, embeddings: bool = False) -> list[Face]:
    """The faces of a picture, the one with the highest score first."""
