"""torch.utils: data sets and loaders, checkpoints, logs."""

from fastnn.compat.torch._missing import missing

__all__: list[str] = []

__getattr__ = missing(
    __name__,
    {
        "bottleneck": "use `fastnn profile`",
        "collect_env": "`fastnn info` prints what matters here",
        "cpp_extension": "write a fastnn.Op, or a torch.autograd.Function, in Python",
        "dlpack": "use torch.from_numpy(array) and tensor.numpy()",
        "mobile_optimizer": "there are no mobile programs",
    },
    modules=("benchmark", "checkpoint", "data", "model_zoo", "tensorboard"),
)
