"""Runs the YuNet detector over a COCO box file's pictures and writes a COCO detection file.

Checks the project's YuNet decoding: an independent implementation of the network's published output layout, with numpy and
onnxruntime. The input is each picture at its stored size, padded right and bottom with 0 to a multiple of 32, as BGR 0-255.
For each stride 8, 16, 32 and cell (c, r), row-major:

    score  = sqrt(cls * obj)
    centre = ((c + b0) * stride, (r + b1) * stride)
    size   = (exp(b2) * stride, exp(b3) * stride)
    keypoint k = ((c + kx) * stride, (r + ky) * stride)

then greedy suppression at IoU 0.45. Keypoints are written as `keypoints`, ten numbers x, y. OpenCV's JPEG decoder
differs from other decoders by one or two levels in some pixels, so scores agree to about 0.01 and not exactly.

    python yunet_reference.py --model DIR/yunet_n.onnx --boxes boxes.json --images images --out found.json
    python coco_ap.py boxes.json found.json
"""

import argparse
import json
import pathlib
import sys
import time

import cv2
import numpy as np
import onnxruntime

STRIDES = [8, 16, 32]


class YuNet:
    """The network with its decoding; `detect` takes a BGR picture [H, W, 3] of bytes."""

    def __init__(self, model, threads=1, score=0.02, overlap=0.45):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.score, self.overlap = score, overlap

    def detect(self, picture):
        """Boxes [n, 4] as left, top, right, bottom, keypoints [n, 10] and scores [n], best first."""
        height, width = picture.shape[:2]
        padded = cv2.copyMakeBorder(picture, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT, value=0)
        tensor = padded.astype(np.float32).transpose(2, 0, 1)[None]
        names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        outputs = dict(zip(names, self.session.run(names, {"input": tensor})))
        parts = [self.decode(outputs, stride, padded.shape[1] // stride) for stride in STRIDES]
        boxes, keypoints, scores = (np.concatenate(part) for part in zip(*parts))
        kept = suppress(boxes, scores, self.overlap)
        return boxes[kept], keypoints[kept], scores[kept]

    def decode(self, outputs, stride, columns):
        scores = np.sqrt(outputs[f"cls_{stride}"][0, :, 0] * outputs[f"obj_{stride}"][0, :, 0])
        cells = np.flatnonzero(scores >= self.score)
        corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
        bbox = outputs[f"bbox_{stride}"][0, cells]
        centre, size = (corner + bbox[:, :2]) * stride, np.exp(bbox[:, 2:]) * stride
        keypoints = (np.tile(corner, 5) + outputs[f"kps_{stride}"][0, cells]) * stride
        return np.concatenate([centre - size / 2, centre + size / 2], axis=1), keypoints, scores[cells]


def suppress(boxes, scores, overlap):
    """Indices of the boxes that survive greedy suppression, best first."""
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        sides = np.minimum(boxes[rest, 2:], boxes[best, 2:]) - np.maximum(boxes[rest, :2], boxes[best, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        order = rest[shared <= overlap * (areas[rest] + areas[best] - shared)]
    return np.array(kept, dtype=int)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="yunet_n.onnx")
    parser.add_argument("--boxes", required=True, help="COCO box file that lists the pictures")
    parser.add_argument("--images", required=True, type=pathlib.Path, help="folder of the pictures")
    parser.add_argument("--out", required=True, help="detection file to write")
    parser.add_argument("--score", type=float, default=0.02, help="least score kept (default %(default)s)")
    parser.add_argument("--overlap", type=float, default=0.45, help="IoU of suppression (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime (default %(default)s)")
    args = parser.parse_args()

    detector = YuNet(args.model, args.threads, args.score, args.overlap)
    with open(args.boxes) as file:
        images = json.load(file)["images"]
    detections, seconds = [], 0.0
    for image in images:
        path = args.images / image["file_name"]
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            sys.exit(f"cannot decode {path}")
        if picture.shape[:2] != (image["height"], image["width"]):
            sys.exit(f"{path} is {picture.shape[1]}x{picture.shape[0]}, the box file says "
                     f"{image['width']}x{image['height']}")
        start = time.perf_counter()
        boxes, keypoints, scores = detector.detect(picture)
        seconds += time.perf_counter() - start
        for box, points, score in zip(boxes.tolist(), keypoints.tolist(), scores.tolist()):
            left, top, right, bottom = box
            bbox = [left, top, right - left, bottom - top]
            detections.append({"image_id": image["id"], "category_id": 1, "bbox": bbox, "score": score,
                               "keypoints": points})
    with open(args.out, "w") as file:
        json.dump(detections, file)
    print(f"{len(images)} images, {len(detections)} detections, {1000 * seconds / len(images):.1f} ms per image "
          f"without decoding, {args.threads} thread(s)", file=sys.stderr)


if __name__ == "__main__":
    main()
