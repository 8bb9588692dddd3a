"""Finds the faces of a picture and estimates age, gender, smile, expression, head pose and embedding of each.

    import visavis

    for face in visavis.analyze("photo.jpg"):
        print(face.box, face.age, face.gender, face.smiling)

The networks and their defaults are those of the program `visavis analyze`, and so are the results.
"""

from ._visavis import Face, FaceAnalyzer, HeadPose, __version__, analyze

__all__ = ["Face", "FaceAnalyzer", "HeadPose", "__version__", "analyze"]
