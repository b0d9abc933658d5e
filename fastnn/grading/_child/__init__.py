"""What runs in the process of a submission. It is copied there: it may import the standard library and NumPy only."""
