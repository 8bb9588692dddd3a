"""Random face boxes and detections for checking an average-precision routine.

Writes boxes.json and detections.json (COCO formats) into a folder: several sizes of face, boxes marked `ignore`, crowds,
the WIDER FACE flags, pictures without faces, duplicate and false detections, and equal scores. The numbers come from a
linear congruential generator and are exact in single precision, so that the test `tests/pycocotools.rs` of
`visavis-eval` makes exactly the same boxes; its golden figures are those of

    python synthetic_boxes.py --seed 7 --images 40 OUT
    python coco_ap.py OUT/boxes.json OUT/detections.json
"""

import argparse
import json
import pathlib


class Generator:
    """Knuth's MMIX generator, upper 31 bits."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        """An integer from 0 to limit - 1."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit


def face(random, image_id, number):
    x, y = random.below(560), random.below(400)
    crowd = random.below(24) == 0
    shrink = 1 + random.below(4)
    width, height = (64 + random.below(640)) // shrink / 4, (64 + random.below(640)) // shrink / 4
    if crowd:
        width, height = width + 100, height + 100
    ignore = random.below(6) == 0
    easy = random.below(3) == 0
    medium = easy or random.below(2) == 0
    hard = medium or random.below(4) > 0
    return {
        "id": number, "image_id": image_id, "category_id": 1, "bbox": [x, y, width, height],
        "ignore": int(ignore), "iscrowd": int(crowd), "easy": easy, "medium": medium, "hard": hard,
    }


def detection(random, image_id, bbox):
    """A box near the given one; offsets in quarters of a pixel, scores in 64ths."""
    spread = int(min(bbox[2], bbox[3])) + 1
    offsets = [(random.below(spread) - spread // 2) / 4 for _ in range(4)]
    x, y = bbox[0] + offsets[0], bbox[1] + offsets[1]
    width, height = max(bbox[2] + offsets[2], 1), max(bbox[3] + offsets[3], 1)
    return {"image_id": image_id, "category_id": 1, "bbox": [x, y, width, height], "score": (1 + random.below(64)) / 64}


def make(seed, count):
    random = Generator(seed)
    images, faces, detections = [], [], []
    for image_id in range(1, count + 1):
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 640, "height": 480})
        for _ in range(random.below(10)):
            faces.append(face(random, image_id, len(faces) + 1))
            # None, one or two detections of this face.
            for _ in range(min(random.below(5), 2)):
                detections.append(detection(random, image_id, faces[-1]["bbox"]))
        for _ in range(random.below(4)):
            anywhere = [random.below(560), random.below(400), 8 + random.below(64), 8 + random.below(64)]
            detections.append(detection(random, image_id, anywhere))
    categories = [{"id": 1, "name": "face"}]
    return {"images": images, "annotations": faces, "categories": categories}, detections


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="output folder")
    parser.add_argument("--seed", type=int, default=7, help="(default %(default)s)")
    parser.add_argument("--images", type=int, default=40, help="(default %(default)s)")
    args = parser.parse_args()
    boxes, detections = make(args.seed, args.images)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "boxes.json").write_text(json.dumps(boxes))
    (args.folder / "detections.json").write_text(json.dumps(detections))


if __name__ == "__main__":
    main()
