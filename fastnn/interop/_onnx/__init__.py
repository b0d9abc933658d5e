"""ONNX graphs of what fastnn's modules compute.

trace     two runs of a model, with batches of different sizes, and all operations of each
program   what both runs have in common: which result goes where, which sizes are the batch's
registry  the table of converters, one for each operation of the tape
graph     nodes, initializers and names of an ONNX graph

The other files hold the converters, by family.
"""
