"""Saarland University, High-Level Computer Vision 2020, exercise 2."""

COURSE = "Saarland, High-Level Computer Vision 2020, exercise 2"
