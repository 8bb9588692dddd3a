"""A plain sequential program to compare the live system with: one loop, every task on every face.

For each frame of a video: decode (OpenCV), detect (YuNet on the frame shrunk into --size and padded), then for the faces
of the frame: five keypoints (O-Net or the detector's own), 112-pixel crops for age and gender and for expression, the
150-pixel aligned crop for the embedding, and the nearest entry of a small gallery. The faces of a frame go through each
network as one batch. Nothing is shown or written. onnxruntime runs with --threads threads and OpenCV with as many.

Prints one JSON line: frames, seconds, frames_per_second, the CPU time of all threads (which depends less on other programs
than the elapsed time), faces, and the milliseconds per frame of each stage. The first --skip-warmup frames run but are not
counted.

    python sequential_pipeline.py --models DIR --video meeting.mp4 --threads 2 --size 320x192 --keypoints onet
"""

import argparse
import collections
import contextlib
import json
import pathlib
import sys
import time

import cv2
import numpy as np
import onnxruntime

from yunet_reference import YuNet

CROP, CHIP, CHIP_PADDING = 112, 150, 0.25

# Middle of the left eye, middle of the right eye, base of the nose, in dlib's unit square.
CHIP_POINTS = np.array([
    [(0.1206 + 0.3341) / 2, (0.2137 + 0.2291) / 2],
    [(0.8596 + 0.6461) / 2, (0.2135 + 0.2290) / 2],
    [0.4901, 0.6278],
])
CHIP_TEMPLATE = (CHIP_PADDING + CHIP_POINTS) / (2 * CHIP_PADDING + 1) * CHIP

# Position of the base of the nose on the line from its tip (0) to the middle of the mouth (1).
NOSE_BASE = 0.30


class Stages:
    """Seconds by stage."""

    def __init__(self):
        self.seconds = collections.Counter()

    @contextlib.contextmanager
    def stage(self, name):
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


class Network:
    """An ONNX file; call it with a batch, get the named outputs."""

    def __init__(self, path, outputs, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input, self.outputs = self.session.get_inputs()[0].name, outputs

    def __call__(self, batch):
        return self.session.run(self.outputs, {self.input: batch})


def square_crop(picture, box, size):
    """The square around the box in `size` x `size` pixels, zero outside the picture; and its left, top and side."""
    left, top, right, bottom = box
    side = max(round(max(right - left, bottom - top)), 1)
    left, top = round((left + right - side) / 2), round((top + bottom - side) / 2)
    height, width = picture.shape[:2]
    before = max(-top, 0), max(-left, 0)
    after = max(top + side - height, 0), max(left + side - width, 0)
    inside = picture[max(top, 0):max(top + side, 0), max(left, 0):max(left + side, 0)]
    if inside.size == 0:
        return np.zeros((size, size, 3), np.uint8), (left, top, side)
    if any(before + after):
        inside = cv2.copyMakeBorder(inside, before[0], after[0], before[1], after[1], cv2.BORDER_CONSTANT, value=0)
    crop = cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    return crop, (left, top, side)


def batch_of(crops):
    """RGB tensor [N, 3, S, S], 0-255, from BGR crops."""
    return np.ascontiguousarray(np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)


def similarity(source, target):
    """The 2x3 matrix of the least-squares rotation, scale and shift from `source` to `target`, points [P, 2]."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    spread = (a * a).sum()
    if spread < 1e-9:
        return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    cosine = (a * b).sum() / spread
    sine = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def chip(picture, points):
    """dlib's aligned face; `points` [5, 2]: eyes, nose, mouth corners, left to right as seen."""
    mouth = (points[3] + points[4]) / 2
    nose_base = points[2] + NOSE_BASE * (mouth - points[2])
    # Pixel centres are at +0.5 in the points and at 0 in warpAffine.
    matrix = similarity(np.stack([points[0], points[1], nose_base]) - 0.5, CHIP_TEMPLATE - 0.5)
    return cv2.warpAffine(picture, matrix, (CHIP, CHIP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


class Pipeline:
    """All networks and the gallery; `analyse` takes one frame."""

    def __init__(self, models, size, keypoints, score, gallery, threads):
        self.size, self.keypoints = size, keypoints
        self.detector = YuNet(str(models / "yunet_n.onnx"), threads, score)
        self.onet = Network(models / "mtcnn_onet.onnx", ["dense_6"], threads)
        self.age_gender = Network(models / "faceapi_age_gender.onnx", ["age", "gender"], threads)
        self.expression = Network(models / "faceapi_expression.onnx", ["expression"], threads)
        self.embedding = Network(models / "dlib_face_recognition.onnx", ["embedding"], threads)
        # The contents of the entries do not affect the search time.
        self.gallery = np.random.default_rng(1).normal(size=(gallery, 128)).astype(np.float32)

    def detect(self, frame):
        scale = min(self.size[0] / frame.shape[1], self.size[1] / frame.shape[0])
        width, height = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        right, below = self.size[0] - width, self.size[1] - height
        small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        boxes, points, _ = self.detector.detect(small)
        return boxes / scale, points.reshape(-1, 5, 2) / scale

    def locate(self, frame, boxes):
        crops, squares = zip(*(square_crop(frame, box, 48) for box in boxes))
        # The network takes width before height.
        batch = (np.stack(crops)[..., ::-1].transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128
        points = self.onet(np.ascontiguousarray(batch))[0].reshape(-1, 2, 5).transpose(0, 2, 1)
        squares = np.array(squares, dtype=np.float32)
        return squares[:, None, :2] + points * squares[:, None, 2:]

    def analyse(self, frame, stages):
        """One dictionary per face."""
        with stages.stage("detect"):
            boxes, points = self.detect(frame)
        if len(boxes) == 0:
            return []
        with stages.stage("keypoints"):
            if self.keypoints == "onet":
                points = self.locate(frame, boxes)
        with stages.stage("crop"):
            crops = batch_of([square_crop(frame, box, CROP)[0] for box in boxes])
        with stages.stage("expression"):
            expression = self.expression(crops)[0]
        with stages.stage("age_gender"):
            age, gender = self.age_gender(crops)
        with stages.stage("chip"):
            chips = batch_of([chip(frame, five) for five in points])
        with stages.stage("embedding"):
            embeddings = self.embedding(chips)[0]
        with stages.stage("search"):
            distances = np.linalg.norm(self.gallery[None] - embeddings[:, None], axis=2)
            nearest = distances.argmin(axis=1)
        return [
            {
                "box": box.tolist(), "keypoints": five.tolist(), "happy": float(expression[i, 1]),
                "age": float(age[i, 0]), "female": float(gender[i, 1]), "nearest": int(nearest[i]),
                "embedding": embeddings[i].tolist(),
            }
            for i, (box, five) in enumerate(zip(boxes, points))
        ]


def size_of(text):
    try:
        width, height = (int(side) for side in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    if width <= 0 or height <= 0 or width % 32 or height % 32:
        raise argparse.ArgumentTypeError(f"{text!r}: both sides must be positive multiples of 32")
    return width, height


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, type=pathlib.Path, help="folder of the five ONNX files")
    parser.add_argument("--video", required=True, help="video file")
    parser.add_argument("--size", type=size_of, default="320x192", help="detector input (default %(default)s)")
    parser.add_argument("--keypoints", choices=["onet", "detector"], default="onet", help="(default %(default)s)")
    parser.add_argument("--score", type=float, default=0.5, help="least detection score (default %(default)s)")
    parser.add_argument("--gallery", type=int, default=400, help="entries to search (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime and OpenCV (default %(default)s)")
    parser.add_argument("--frames", type=int, help="stop after this many counted frames (default: the whole video)")
    parser.add_argument("--skip-warmup", type=int, default=10, metavar="N",
                        help="frames to run before counting (default %(default)s)")
    parser.add_argument("--faces-out", help="output file for the faces of each counted frame, one JSON line per frame")
    args = parser.parse_args()

    cv2.setNumThreads(args.threads)
    pipeline = Pipeline(args.models, args.size, args.keypoints, args.score, args.gallery, args.threads)
    video = cv2.VideoCapture(args.video, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, args.threads])
    if not video.isOpened():
        sys.exit(f"cannot open {args.video}")

    stages, frames, faces, found = Stages(), -args.skip_warmup, 0, []
    start, processor_start = time.perf_counter(), time.process_time()
    while args.frames is None or frames < args.frames:
        if frames == 0:
            stages, faces, found = Stages(), 0, []
            start, processor_start = time.perf_counter(), time.process_time()
        with stages.stage("decode"):
            more, frame = video.read()
        if not more:
            break
        found.append(pipeline.analyse(frame, stages))
        faces += len(found[-1])
        frames += 1
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    if frames <= 0:
        sys.exit(f"{args.video} has no more than {args.skip_warmup + frames} frames: lower --skip-warmup")
    if args.faces_out:
        pathlib.Path(args.faces_out).write_text("".join(json.dumps(frame) + "\n" for frame in found))
    print(json.dumps({
        "frames": frames, "seconds": round(seconds, 3), "frames_per_second": round(frames / seconds, 2),
        "processor_seconds": round(processor_seconds, 3), "faces": faces, "threads": args.threads, "size": "x".join(map(str, args.size)), "keypoints": args.keypoints,
        "stage_ms": {name: round(1000 * total / frames, 3) for name, total in stages.seconds.items()},
    }))


if __name__ == "__main__":
    main()
