"""Average precision and recall of a face detector through pycocotools.

Checks the project's evaluation: reads a COCO box file and a detection file
([{"image_id", "category_id": 1, "bbox": [x, y, w, h], "score"}]) and prints, as JSON, the figures that
`visavis_eval::detection` reports, computed by pycocotools. With --against FILE it also compares every figure with a
report that the project printed for the same two files, and exits with 1 if one differs by more than --tolerance:

    cargo run -p visavis-eval --example detection_ap -- boxes.json found.json > ours.json
    python coco_ap.py boxes.json found.json --against ours.json

pycocotools is used with three changes for face sets: a box marked `ignore` is ignored at plain IoU and matched once
(pycocotools overwrites that flag by `iscrowd`), the size is the shorter side of a box instead of its area, and box ids
are renumbered from 1 (pycocotools treats a match with id 0 as no match).
"""

import argparse
import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BAND_EDGES = [0, 16, 32, 64, 128]
WIDER_SUBSETS = ["easy", "medium", "hard"]


class FaceEval(COCOeval):
    """COCOeval that keeps the `ignore` flag."""

    def _prepare(self):
        super()._prepare()
        for faces in self._gts.values():
            for face in faces:
                face["ignore"] = face["iscrowd"] or face["left_out"]


def shorter_side(bbox):
    return min(bbox[2], bbox[3])


def is_ignored(face, subset):
    return bool(face.get("ignore")) or (subset is not None and not face.get(subset))


def load(boxes, detections, subset):
    """The box set with the faces outside `subset` ignored, and the detections, as pycocotools objects."""
    truth = COCO()
    truth.dataset = {
        "images": boxes["images"],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [
            {
                "id": number,
                "image_id": face["image_id"],
                "category_id": 1,
                "bbox": face["bbox"],
                "area": shorter_side(face["bbox"]),
                "iscrowd": int(bool(face.get("iscrowd"))),
                "left_out": is_ignored(face, subset),
            }
            for number, face in enumerate(boxes["annotations"], start=1)
        ],
    }
    truth.createIndex()
    found = COCO()
    found.dataset = {
        "images": boxes["images"],
        "categories": truth.dataset["categories"],
        "annotations": [
            {**detection, "id": number, "category_id": 1, "iscrowd": 0, "area": shorter_side(detection["bbox"])}
            for number, detection in enumerate(detections, start=1)
        ],
    }
    found.createIndex()
    return truth, found


def recall_at(images, allowed, faces):
    """Largest recall at the first IoU threshold over the score thresholds with at most `allowed` false positives per image."""
    scores = np.concatenate([np.asarray(image["dtScores"]) for image in images])
    matched = np.concatenate([image["dtMatches"][0] > 0 for image in images])
    ignored = np.concatenate([image["dtIgnore"][0].astype(bool) for image in images])
    order = np.argsort(-scores, kind="mergesort")
    scores, matched = scores[order][~ignored[order]], matched[order][~ignored[order]]
    if len(scores) == 0:
        return 0.0
    ends = np.append(scores[1:] != scores[:-1], True)
    hits, alarms = np.cumsum(matched)[ends], np.cumsum(~matched)[ends]
    return float(max(hits[alarms <= allowed], default=0)) / faces


def evaluate(boxes, detections, args, subset=None, band=(0, None)):
    """One report, with the field names of `visavis_eval::detection::DetectionReport`."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = load(boxes, detections, subset)
        evaluation = FaceEval(truth, found, "bbox")
        # The upper end is exclusive in visavis and inclusive in pycocotools.
        upper = np.inf if band[1] is None else np.nextafter(band[1], -np.inf)
        evaluation.params.areaRng = [[band[0], upper]]
        evaluation.params.areaRngLbl = ["band"]
        evaluation.params.maxDets = [args.max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    images = [image for image in evaluation.evalImgs if image is not None]
    faces = int(sum(np.count_nonzero(image["gtIgnore"] == 0) for image in images))
    report = {"images": len(boxes["images"]), "faces": faces, "ap50": None, "ap75": None, "ap50_95": None, "recall": None}
    if faces:
        precision = evaluation.eval["precision"][:, :, 0, 0, 0]
        report["ap50"] = float(precision[0].mean())
        report["ap75"] = float(precision[5].mean())
        report["ap50_95"] = float(precision.mean())
        report["recall"] = recall_at(images, args.false_positives_per_image * len(boxes["images"]), faces)
    return report


def evaluate_all(boxes, detections, args):
    """All reports, with the field names of `visavis_eval::detection::DetectionEvaluation`."""
    bands = zip(BAND_EDGES, BAND_EDGES[1:] + [None])
    flagged = any(subset in face for face in boxes["annotations"] for subset in WIDER_SUBSETS)
    return {
        "max_detections": args.max_detections,
        "false_positives_per_image": args.false_positives_per_image,
        "all": evaluate(boxes, detections, args),
        "bands": [
            {"band": {"from": band[0], "to": band[1]}, "report": evaluate(boxes, detections, args, band=band)}
            for band in bands
        ],
        "wider": {subset: evaluate(boxes, detections, args, subset) for subset in WIDER_SUBSETS} if flagged else None,
    }


def differences(ours, theirs, place=""):
    """Yields (place, difference) for every number in `theirs`; infinite if only one side has a figure."""
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            yield from differences(ours.get(key) if isinstance(ours, dict) else None, value, f"{place}.{key}".lstrip("."))
    elif isinstance(theirs, list):
        for index, value in enumerate(theirs):
            inside = isinstance(ours, list) and index < len(ours)
            yield from differences(ours[index] if inside else None, value, f"{place}[{index}]")
    elif ours is None or theirs is None:
        yield place, 0.0 if ours is theirs else float("inf")
    else:
        yield place, abs(ours - theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boxes", help="COCO box file")
    parser.add_argument("detections", help="COCO detection file")
    parser.add_argument("--max-detections", type=int, default=1000, help="kept per image (default %(default)s)")
    parser.add_argument("--false-positives-per-image", type=float, default=0.1, help="for recall (default %(default)s)")
    parser.add_argument("--against", metavar="FILE", help="report of the project to compare with")
    parser.add_argument("--tolerance", type=float, default=1e-9, help="largest difference allowed (default %(default)s)")
    args = parser.parse_args()

    with open(args.boxes) as file:
        boxes = json.load(file)
    with open(args.detections) as file:
        detections = json.load(file)
    report = evaluate_all(boxes, detections, args)
    print(json.dumps(report, indent=2))
    if args.against:
        with open(args.against) as file:
            found = sorted(differences(json.load(file), report), key=lambda entry: entry[1])
        place, largest = found[-1]
        print(f"{len(found)} numbers compared, largest difference {largest:.3g} at {place}", file=sys.stderr)
        sys.exit(int(largest > args.tolerance))


if __name__ == "__main__":
    main()
