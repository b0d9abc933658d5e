"""Fudan University, Neural Network and Deep Learning 2025, project 2."""

COURSE = "Fudan, Neural Network and Deep Learning 2025, project 2"
