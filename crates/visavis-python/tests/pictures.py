"""Tests which pictures are taken, and the errors for all others, on a photo with a face.

    python pictures.py PHOTO
"""
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import warnings

import numpy as np
import visavis

photo = pathlib.Path(sys.argv[1])
analyzer = visavis.FaceAnalyzer(embeddings=True, expression="face_mobilefacenet")


def refused(kind, pattern, call, *args, **options):
    try:
        call(*args, **options)
    except kind as error:
        assert re.search(pattern, str(error)), f"{pattern!r} is not in {error}"
    else:
        raise AssertionError(f"no {kind.__name__} for {pattern!r}")


def records(faces):
    return [face.to_dict() for face in faces]


# The photo by its path, as str and PathLike, and by its bytes.
faces = analyzer.analyze(photo)
assert faces, "the photo has no face"
for image in (str(photo), photo.read_bytes(), bytearray(photo.read_bytes())):
    assert records(analyzer.analyze(image)) == records(faces)

# Results: types, shapes and ranges.
for number, face in enumerate(faces, 1):
    x, y, width, height = face.box
    assert width > 0 and height > 0 and 0 < face.score <= 1
    assert face.keypoints.shape == (5, 2) and face.keypoints.dtype == np.float32
    assert face.age_distribution.shape == (101,) and face.age_distribution.dtype == np.float32
    np.testing.assert_allclose(face.age_distribution.sum(), 1, atol=1e-3)
    # The age is the median; a year reaches half a year to both sides.
    below = np.concatenate([[0], np.cumsum(face.age_distribution)])
    np.testing.assert_allclose(np.interp(below[-1] / 2, below, np.arange(102) - 0.5), face.age, atol=1e-2)
    assert face.embedding.ndim == 1 and face.embedding.dtype == np.float32 and np.isfinite(face.embedding).all()
    np.testing.assert_allclose(sum(face.expressions.values()), 1, atol=1e-3)
    assert face.expression == max(face.expressions, key=face.expressions.get)
    assert abs(face.head_pose.yaw) < 90 and "yaw=" in repr(face.head_pose)
    assert repr(face).startswith("Face(box=(") and f"<{len(face.embedding)} values>" in repr(face)
    assert face.to_dict()["track"] == number and "embedding" not in face.to_dict()
    assert face.embedding is face.embedding

# Arrays of the photo: a part of a larger array, mirrored twice, in the order of columns.
with tempfile.TemporaryDirectory() as folder:
    # The module reads photos but returns none: a picture without compression is read here.
    def bmp(pixels):
        height, width, _ = pixels.shape
        rows = np.zeros((height, (width * 3 + 3) // 4 * 4), np.uint8)
        rows[:, : width * 3] = pixels[::-1, :, ::-1].reshape(height, -1)
        number = lambda value, length: int(value).to_bytes(length, "little")
        header = b"BM" + number(54 + rows.size, 4) + number(0, 4) + number(54, 4)
        header += number(40, 4) + number(width, 4) + number(height, 4) + number(1, 2) + number(24, 2) + bytes(24)
        return header + rows.tobytes()

    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (97, 131, 3), dtype=np.uint8)
    # Noise has no faces, so that a low score makes the detector report what it sees: the same for the same pixels.
    eager = visavis.FaceAnalyzer(score=0.0, detector_size=(128, 96))
    expected = records(eager.analyze(bmp(pixels)))
    larger = np.zeros((200, 300, 3), np.uint8)
    larger[50:147, 20:151] = pixels
    for image in (
        pixels,
        np.asfortranarray(pixels),
        larger[50:147, 20:151],
        pixels[::-1, ::-1].copy()[::-1, ::-1],
        pixels[:, :, ::-1].copy()[:, :, ::-1],
        pixels.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    ):
        assert records(eager.analyze(image)) == expected
    assert expected, "nothing to compare"
    grey = pixels[:, :, 0]
    assert records(eager.analyze(grey)) == records(eager.analyze(np.repeat(grey[:, :, None], 3, axis=2)))
    unwritable = pixels.copy()
    unwritable.flags.writeable = False
    assert records(eager.analyze(unwritable)) == expected

    for size in ((1, 1), (1, 3000), (3000, 1)):
        eager.analyze(np.zeros(size, np.uint8))
        analyzer.analyze(np.zeros(size, np.uint8))

    # Wrong pictures.
    refused(TypeError, "uint8.*not float64.*image \\* 255", analyzer.analyze, pixels / 255)
    refused(TypeError, "uint8.*not bool$", analyzer.analyze, grey > 3)
    refused(TypeError, "numpy array.*path.*not int", analyzer.analyze, 3)
    refused(TypeError, "not NoneType", visavis.analyze, None)
    refused(ValueError, r"\(height, width, 3\).*not \(97, 131, 4\).*alpha", analyzer.analyze, np.zeros((97, 131, 4), np.uint8))
    refused(ValueError, r"not \(3, 97, 131\).*transpose", analyzer.analyze, pixels.transpose(2, 0, 1))
    refused(ValueError, r"not \(2, 97, 131, 3\).*batch", analyzer.analyze, np.stack([pixels, pixels]))
    refused(ValueError, r"not \(97\)|not \(97,\)", analyzer.analyze, pixels[:, 0, 0])
    refused(ValueError, "131x0 pixels", analyzer.analyze, pixels[:0])
    refused(ValueError, "empty", analyzer.analyze, b"")
    refused(ValueError, "cannot be decoded", analyzer.analyze, b"no picture")
    refused(FileNotFoundError, "missing.jpg: no such file", analyzer.analyze, os.path.join(folder, "missing.jpg"))
    refused(OSError, re.escape(folder), analyzer.analyze, folder)
    text = pathlib.Path(folder, "text.jpg")
    text.write_text("no picture")
    refused(ValueError, "text.jpg", analyzer.analyze, text)

    # Wrong options.
    refused(ValueError, "no model is called `yunett`.*yunet", visavis.FaceAnalyzer, detector="yunett")
    refused(ValueError, "onet does not do age", visavis.FaceAnalyzer, age="onet")
    refused(ValueError, "detection cannot be left out", visavis.FaceAnalyzer, detector="none")
    refused(ValueError, "auto, tract, onnxruntime", visavis.FaceAnalyzer, engine="burn")
    refused(ValueError, "gpu", visavis.FaceAnalyzer, recognition_device="gpu")
    refused(ValueError, "precision", visavis.FaceAnalyzer, precision="double")
    refused(ValueError, "threads", visavis.FaceAnalyzer, threads=0)
    refused(ValueError, "between 0 and 1", visavis.FaceAnalyzer, score=1.5)
    refused(ValueError, "multiples", visavis.FaceAnalyzer, detector_size=(33, 33))
    refused(RuntimeError, "missing.so", visavis.FaceAnalyzer, onnxruntime=os.path.join(folder, "missing.so"))
    refused(OSError, "missing", visavis.FaceAnalyzer, models=[os.path.join(folder, "missing")])
    refused(TypeError, "positional", visavis.FaceAnalyzer, "yunet")

    # Broken networks in a folder are reported, and do not matter otherwise.
    pathlib.Path(folder, "broken.toml").write_text("nonsense")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        visavis.FaceAnalyzer(models=[folder])
    assert any("broken.toml" in str(warning.message) for warning in caught), caught

# What is left out is None.
bare = visavis.FaceAnalyzer(age="none", gender="none", smile="none", keypoints="detector", engine="tract")
face = bare.analyze(photo)[0]
assert [face.age, face.age_distribution, face.gender, face.female, face.smile, face.smiling] == [None] * 6
assert [face.expression, face.expressions, face.head_pose, face.embedding] == [None] * 4
assert bare.networks == {"detection": "yunet"} and bare.engine == "tract", bare
assert analyzer.engine in ("tract", "onnxruntime") and f"engine='{analyzer.engine}'" in repr(analyzer)

# The function keeps its analyzers; embeddings only on request.
assert records(visavis.analyze(photo)) == records(visavis.FaceAnalyzer().analyze(photo))
assert visavis.analyze(photo)[0].embedding is None
np.testing.assert_array_equal(visavis.analyze(photo, embeddings=True)[0].embedding, faces[0].embedding)

# Two threads may use one analyzer.
results = []
workers = [threading.Thread(target=lambda: results.append(records(analyzer.analyze(photo)))) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert results == [records(faces)] * 2

# Other threads run during an analysis. With this interval the interpreter changes threads only where one releases it, so that the
# flag would never be seen otherwise.
sys.setswitchinterval(3600)
inside = False


def work():
    global inside
    inside = True
    analyzer.analyze(photo)
    inside = False


worker = threading.Thread(target=work)
worker.start()
seen = False
while worker.is_alive():
    seen = seen or inside
    time.sleep(0.001)
assert seen, "no other thread ran during the analysis"

print(f"{photo.name}: {faces[0]}")
