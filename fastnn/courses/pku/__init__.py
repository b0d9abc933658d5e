"""Peking University (PKU), Introduction to Computer Vision 2025, assignment 2."""

COURSE = "PKU, Introduction to Computer Vision 2025, assignment 2"
