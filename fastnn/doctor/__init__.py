"""What is wrong with a training: before it runs, and while it runs.

print(fastnn.diagnose(model, train_loader, val_loader=val_loader))
training.fit(model, train_loader, epochs=10, val_loader=val_loader, callbacks=[training.Doctor()])
"""

from fastnn.doctor.callback import Doctor
from fastnn.doctor.findings import Diagnosis, Finding, Record
from fastnn.doctor.range_test import LRRangeTest, lr_range_test
from fastnn.doctor.run import diagnose

__all__ = ["Diagnosis", "Doctor", "Finding", "LRRangeTest", "Record", "diagnose", "lr_range_test"]
