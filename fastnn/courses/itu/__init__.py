"""Istanbul Technical University (ITU), BLG 506E Computer Vision, assignment III."""

COURSE = "ITU, BLG 506E Computer Vision, assignment III"
