"""Uses every part of the module with types, for mypy. Run by `checks/python`, not started."""
from pathlib import Path

import numpy as np
import numpy.typing as npt
import visavis


def oldest(photo: Path) -> visavis.Face | None:
    faces: list[visavis.Face] = visavis.analyze(photo)
    return max(faces, key=lambda face: face.age or 0.0, default=None)


def similarity(a: visavis.Face, b: visavis.Face) -> float | None:
    if a.embedding is None or b.embedding is None:
        return None
    x, y = a.embedding, b.embedding
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def lines(analyzer: visavis.FaceAnalyzer, image: npt.NDArray[np.uint8]) -> list[str]:
    found = []
    for face in analyzer.analyze(image):
        left, top, width, height = face.box
        eye: npt.NDArray[np.float32] | None = None if face.keypoints is None else face.keypoints[0]
        yaw: float | None = None if face.head_pose is None else face.head_pose.yaw
        shares: dict[str, float] = face.expressions or {}
        record = [str(value) for value in face.to_dict().values()]
        found.append(f"{left + width} {top + height} {face.gender} {face.smiling} {eye} {yaw} {shares} {record}")
    return found


def load() -> visavis.FaceAnalyzer:
    networks: dict[str, str] = visavis.FaceAnalyzer(threads=2, models=[Path("models")]).networks
    return visavis.FaceAnalyzer(age=networks.get("age"), engine="tract", embeddings=True, detector_size=(320, 192))
