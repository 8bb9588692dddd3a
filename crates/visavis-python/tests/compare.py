"""Compares the faces of all photos of a folder with those of the command line.

    python compare.py PROGRAM FOLDER [OPTION=VALUE...]

The options are keywords of FaceAnalyzer, and flags of `visavis analyze`.
"""
import json
import pathlib
import subprocess
import sys

import numpy as np
import visavis


def main() -> None:
    program, folder, *words = sys.argv[1:]
    options = dict(word.split("=") for word in words)
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    run = subprocess.run([program, "analyze", folder, *flags], stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    numbers = {name: float(options.pop(name)) for name in ("score", "smallest_face") if name in options}
    analyzer = visavis.FaceAnalyzer(**options, **numbers)
    faces = different = 0
    for line in lines:
        path = pathlib.Path(line["source"])
        # The command line counts the faces of all photos.
        expected = [{**face, "track": number} for number, face in enumerate(line["faces"], 1)]
        for image in (path, path.read_bytes()):
            found = analyzer.analyze(image)
            if [face.to_dict() for face in found] != expected:
                different += 1
                print(f"{path}: {[face.to_dict() for face in found]} instead of {expected}")
        for face in found:
            record = face.to_dict()
            # The properties are the same numbers before they are rounded.
            np.testing.assert_allclose(face.box, record["box"], atol=0.051)
            np.testing.assert_allclose(face.keypoints, record["landmarks"], atol=0.051)
            assert abs(face.age - record["age"]) < 0.051 and abs(face.female - record["female"]) < 0.00051
            assert abs(face.smile - record["smile"]) < 0.00051 and face.smiling == record["smiling"]
            assert face.gender == record["gender"] and face.turned == record.get("turned", 0)
            assert face.expression == record.get("expression", {}).get("name")
        faces += len(found)
    print(f"{len(lines)} photos, {faces} faces, {different} differences ({analyzer})")
    if different or not faces:
        sys.exit("FAILED")


main()
