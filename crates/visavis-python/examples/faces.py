"""Finds the faces of photos, and compares the largest face of each photo with those of the others.

    python faces.py PHOTO...

Editors that know `# %%` open this file as a notebook.
"""

# %% The photos.
import sys

import numpy as np
import visavis

photos = sys.argv[1:]
if not photos:
    sys.exit("name one or more photos: python faces.py PHOTO...")

# %% Load the networks once. The results are those of `visavis analyze`, and an embedding of each face.
analyzer = visavis.FaceAnalyzer(embeddings=True)
print(analyzer)

# %% All faces. Lengths are in pixels, ages in years, `female` and `smile` are probabilities.
largest = {}
for photo in photos:
    faces = analyzer.analyze(photo)
    print(f"{photo}: {len(faces)} faces")
    for face in faces:
        x, y, width, height = face.box
        print(f"  {width:.0f} x {height:.0f} at ({x:.0f}, {y:.0f}): {face.age:.0f} years, {face.gender}, smile {face.smile:.2f}")
    if faces:
        largest[photo] = max(faces, key=lambda face: face.box[2] * face.box[3])

# %% The probability of each age from 0 to 100 years. Its mean is the age, its spread says how uncertain the age is.
if largest:
    face = next(iter(largest.values()))
    years = np.arange(101)
    spread = np.sqrt(face.age_distribution @ (years - face.age) ** 2)
    print(f"largest face of the first photo: {face.age:.1f} years, standard deviation {spread:.1f} years")

# %% How similar the largest faces are: the cosine of the angle between their embeddings, -1 to 1.
if len(largest) > 1:
    vectors = np.stack([face.embedding for face in largest.values()])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    print("cosine similarity of the largest faces")
    print(np.round(vectors @ vectors.T, 2))

# %% A picture that is already in memory: an array of uint8, red, green and blue, or grey.
grey = np.full((240, 320), 128, dtype=np.uint8)
print("faces of an empty picture:", analyzer.analyze(grey))
