"""
A confusion matrix
==================

Which classes are taken for which. A row is a true class and a column what the network found; the diagonal is
right.
"""

import matplotlib.pyplot as plt
from shapes_network import normalised, shapes, trained_network

from fastnn import insight

model, _ = trained_network(epochs=2)  # with more of them hardly a mistake is left
test = shapes(2000, False)
matrix = insight.confusion_matrix(test.labels, model(normalised(test.images)))

ax = insight.plot_confusion_matrix(
    matrix, test.classes, plt.figure(figsize=(5.5, 4.6), layout="constrained").gca(), f"{len(test)} test images"
)
accuracy = insight.per_class_accuracy(matrix)
print({name: round(float(part), 3) for name, part in zip(test.classes, accuracy, strict=True)})
plt.show()
