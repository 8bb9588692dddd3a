"""Tests a growing gallery with a simulated crowd of known people: who was found, added twice, or mistaken for another person.

Composes a film from single portraits: three people at a time, each for a few seconds. People with several photos appear
again with another photo; from time to time a group photo fills the picture. The film is sent as JPEGs to
`visavis live - --grow`; afterwards the gallery's visitors are compared with the people in the film.

    python crowd.py --visavis target/release/visavis --minutes 30 --portraits DIR/people.csv --celebrities DIR/labels.csv \
        --groups DIR --out out/crowd

Prints JSON: people who came (a face large enough was in view for three seconds and more) and how many of them are in the
gallery, visitors who are the same person as an earlier visitor (duplicates), visitors with photos of two people (false
merges), the results for faces of group photos, and the resident memory of the program every minute.
"""

import argparse
import collections
import csv
import json
import pathlib
import random
import sqlite3
import subprocess
import threading
import time

import cv2
import numpy as np

WIDTH, HEIGHT = 1280, 720
PLACES = [(213, 380), (640, 340), (1067, 380)]
GROUP_SECONDS = 6


def portraits(table):
    """The name and the picture file of every row."""
    folder = pathlib.Path(table).parent
    with open(table, newline="", encoding="utf-8") as rows:
        return [(row["name"], folder / row["file"]) for row in csv.DictReader(rows)]


class Visit:
    """A person who is at a place for a while."""

    def __init__(self, name, file, place, begin, end, phase):
        self.name, self.file, self.place, self.begin, self.end, self.phase = name, file, place, begin, end, phase
        self.picture = None

    def draw(self, frame, at):
        if self.picture is None:
            read = cv2.imread(str(self.file))
            scale = 320 / read.shape[0] if read.shape[0] > 112 else 230 / read.shape[0]
            self.picture = cv2.resize(read, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        height, width = self.picture.shape[:2]
        x = int(PLACES[self.place][0] - width / 2 + 14 * np.sin(0.9 * at + self.phase))
        y = int(PLACES[self.place][1] - height / 2 + 6 * np.sin(1.7 * at + self.phase))
        frame[y : y + height, x : x + width] = self.picture


def script(args, rng):
    """Visits and group photos, in order."""
    people = portraits(args.portraits)
    rng.shuffle(people)
    celebrities = portraits(args.celebrities)
    rng.shuffle(celebrities)
    # Every third visit is of a person who may have been here before.
    queue = []
    while people or celebrities:
        source = celebrities if celebrities and (not people or rng.random() < 1 / 3) else people
        queue.append(source.pop())
    groups = sorted(pathlib.Path(args.groups).glob("*.jpg"))
    seconds, visits, shown = args.minutes * 60, [], []
    every = seconds / max(len(groups), 1)
    for number, group in enumerate(groups):
        shown.append((group, (number + 0.5) * every, (number + 0.5) * every + GROUP_SECONDS))
    free = [0.5, 1.5, 2.5]
    while queue:
        place = int(np.argmin(free))
        begin = free[place]
        stay = rng.uniform(4, 7)
        for _, start, end in shown:
            if begin < end + 1 and begin + stay > start - 1:
                begin = end + 1
        if begin + stay > seconds:
            break
        name, file = queue.pop(0)
        # A person is never in two places at once.
        if any(v.name == name and v.end > begin - 1 for v in visits[-4:]):
            queue.append((name, file))
            continue
        visits.append(Visit(name, file, place, begin, begin + stay, rng.uniform(0, 6)))
        free[place] = begin + stay + rng.uniform(1, 2)
    return visits, shown


def film(visits, groups, number, rate, cache):
    """The frame with this number."""
    at = number / rate
    for file, begin, end in groups:
        if begin <= at < end:
            if file not in cache:
                cache.clear()
                read = cv2.imread(str(file))
                scale = min(WIDTH / read.shape[1], HEIGHT / read.shape[0])
                small = cv2.resize(read, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                frame = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
                x, y = (WIDTH - small.shape[1]) // 2, (HEIGHT - small.shape[0]) // 2
                frame[y : y + small.shape[0], x : x + small.shape[1]] = small
                cache[file] = frame
            return cache[file]
    frame = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    for visit in visits:
        if visit.begin <= at < visit.end:
            visit.draw(frame, at)
        elif at >= visit.end:
            visit.picture = None
    return frame


def who(visits, groups, number, rate, box):
    """The person whose picture is at a box of this frame: a name, or a group photo with an approximate place in it."""
    at = number / rate
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    for file, begin, end in groups:
        if begin <= at < end:
            return f"{file.name} {round(x / 40)},{round(y / 40)}"
    there = [visit for visit in visits if visit.begin <= at < visit.end]
    nearest = min(there, key=lambda v: abs(PLACES[v.place][0] - x), default=None)
    return nearest.name if nearest and abs(PLACES[nearest.place][0] - x) < 150 else None


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visavis", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=15)
    parser.add_argument("--portraits", required=True)
    parser.add_argument("--celebrities", required=True)
    parser.add_argument("--groups", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", default="", help="more arguments for visavis live")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    gallery, lines = out / "crowd.gallery", out / "crowd.jsonl"
    for old in out.glob("crowd.gallery*"):
        old.unlink()
    visits, groups = script(args, random.Random(args.seed))

    command = [args.visavis, "live", "-", "--fps", str(args.rate), "--gallery", str(gallery), "--grow"]
    command += ["--jsonl", str(lines), "--mirror", "false", *args.live.split()]
    log = open(out / "live.log", "w", encoding="utf-8")
    live = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
    memory, late = [], 0
    start, cache = time.monotonic(), {}
    frames = int(args.minutes * 60 * args.rate)
    for number in range(frames):
        due = start + number / args.rate
        now = time.monotonic()
        late += now > due + 1
        time.sleep(max(0, due - now))
        encoded = cv2.imencode(".jpg", film(visits, groups, number, args.rate, cache), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        live.stdin.write(encoded.tobytes())
        if number % int(60 * args.rate) == int(30 * args.rate):
            memory.append(round(resident(live.pid), 1))
    live.stdin.close()
    code = live.wait()

    # The frame and face of each photo in the gallery.
    boxes, tracked = collections.defaultdict(dict), collections.Counter()
    with open(lines, encoding="utf-8") as scenes:
        for line in scenes:
            scene = json.loads(line)
            for face in scene["faces"]:
                boxes[face["track"]][scene["frame"]] = face["box"]
                name = who(visits, groups, scene["frame"], args.rate, face["box"])
                if name and min(face["box"][2:]) >= 56:
                    tracked[name] += 1
    with sqlite3.connect(gallery) as store:
        rows = store.execute("SELECT person, source FROM photo").fetchall()
        visitors = store.execute("SELECT id, seen FROM person").fetchall()
    truth = collections.defaultdict(collections.Counter)
    unplaced = 0
    for person, source in rows:
        frame, track = (int(word.strip("#,")) for word in source.split()[1:4:2])
        # Not every frame that was analysed was also shown: use the nearest one with this face.
        near = min(boxes[track], key=lambda shown: abs(shown - frame), default=None)
        name = near is not None and who(visits, groups, frame, args.rate, boxes[track][near])
        if name:
            truth[person][name] += 1
        else:
            unplaced += 1
    came = {name for name, count in tracked.items() if count >= 3 * args.rate}
    single = {name for name in came if ".jpg " not in name}
    owner = {person: names.most_common(1)[0][0] for person, names in truth.items()}
    of = collections.Counter(owner.values())
    found = single & set(of)
    mixed = {person: dict(names) for person, names in truth.items() if len(names) > 1}
    again = collections.Counter(visit.name for visit in visits)
    print(json.dumps({
        "exit": code,
        "minutes": args.minutes,
        "frames_late": late,
        "visits": len(visits),
        "people_who_came": len(single),
        "people_who_came_more_than_once": sum(again[name] > 1 for name in single),
        "people_found": len(found),
        "people_missed": sorted(single - found)[:20],
        "visitors": len(visitors),
        "duplicates": sum(count - 1 for name, count in of.items() if ".jpg " not in name),
        "duplicated": {name: count for name, count in of.most_common(15) if count > 1 and ".jpg " not in name},
        "false_merges": len(mixed),
        "mixed": dict(list(mixed.items())[:15]),
        "photos": len(rows),
        "photos_not_placed": unplaced,
        "visitors_from_group_photos": sum(".jpg " in name for name in owner.values()),
        "faces_in_group_photos": len(came - single),
        "memory_mib": memory,
    }, indent=1))


if __name__ == "__main__":
    main()
