"""Where the time of a training step goes, layer by layer, and how it compares with what the machine can do.

For example:

    profile = fastnn.profile(model, x, y)
    print(profile)
    profile.plot().figure.savefig("roofline.png")
"""

from fastnn.profiling.forecast import Forecast, ForecastRow, Loss, forecast
from fastnn.profiling.result import Copy, Profile, ProfileRow
from fastnn.profiling.run import profile

__all__ = ["Copy", "Forecast", "ForecastRow", "Loss", "Profile", "ProfileRow", "forecast", "profile"]
