"""PyTorch trains a recipe of `fastnn train`: the same network, the same first weights, the same batches.

The network, its whitening, the images, their order and augmentation, and the rule of evaluation are fastnn's; forward,
loss, backward, optimisers, schedule and averaging of weights are PyTorch's. So times and accuracies of the two can be
laid side by side:

    fastnn train --recipe cifar10-75 --seed 1
    python benchmarks/train_torch.py --recipe cifar10-75 --seed 1

Training seconds are counted as there: making the network and all steps, no evaluation. Two things that no training
with PyTorch need do are left out: turning fastnn's batches into PyTorch's memory layout, and compiling, whose seconds
are told apart. Needs `pip install torch==2.13.0`, and a C++ compiler for --compile. THP_MEM_ALLOC_ENABLE=1 in the
environment lets PyTorch use huge pages.
"""

import argparse
import copy
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
except ImportError:
    sys.exit("PyTorch is needed: pip install torch==2.13.0, or run make bench-torch")

import fastnn
from fastnn import _machine, data, nn, optim, training
from fastnn.benchmark import torch_twin
from fastnn.training import RECIPES, Recipe
from fastnn.training.plan import DATASETS, choose_recipe, open_dataset
from fastnn.training.run import make_loader, make_model, summary
from fastnn.training.trainer import count_steps

LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def as_tensor(x: np.ndarray | fastnn.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """A batch of fastnn's, which is pixel-major, in a layout that PyTorch computes with."""
    array = np.require(x.data if isinstance(x, fastnn.Tensor) else x, requirements="W")
    return torch.from_numpy(array).contiguous(memory_format=layout)


class Predictor(nn.Module):
    """A network of PyTorch that fastnn can evaluate."""

    def __init__(self, module: torch.nn.Module, layout: torch.memory_format) -> None:
        super().__init__()
        self.module = module.eval()
        self.layout = layout

    def forward(self, x: fastnn.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return self.module(as_tensor(x, self.layout)).numpy()


class Lookahead:
    """What `fastnn.training.Lookahead` does, for a network of PyTorch."""

    def __init__(self, module: torch.nn.Module, total_steps: int) -> None:
        self.rule = training.Lookahead()
        self.total_steps = total_steps
        self.values = list(module.state_dict().values())
        self.averages = [value.clone() for value in self.values]

    def after(self, step: int) -> None:
        """`step` steps are done."""
        is_due = step % self.rule.every == 0
        if is_due:
            kept = self.rule.decay_at(step, self.total_steps)
            for average, value in zip(self.averages, self.values, strict=True):
                if value.is_floating_point():
                    average.lerp_(value, 1 - kept)
                else:
                    average.copy_(value)
        if is_due or step >= self.total_steps:
            for average, value in zip(self.averages, self.values, strict=True):
                value.copy_(average)


class Muon(torch.optim.Optimizer):
    """What `fastnn.optim.Muon` does, in float32 and for filters of convolutions, which PyTorch's own does not take.

    Of its rules for the learning rate it knows 'constant' only.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})
        if any(group["adjust_lr_fn"] != "constant" for group in self.param_groups):
            raise ValueError("the twin of Muon needs adjust_lr_fn='constant'")

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
        if group["normalize_weight"]:
            parameter.mul_(math.sqrt(len(parameter)) / parameter.norm().clamp_min(group["eps"]))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        x = direction.reshape(len(direction), -1)
        wide = x.T if len(x) > x.shape[1] else x
        wide = wide / wide.norm().clamp_min(group["eps"])
        a, b, c = group["ns_coefficients"]
        for _ in range(group["ns_steps"]):
            gram = wide @ wide.T
            wide = a * wide + (b * gram + c * gram @ gram) @ wide
        x = wide.T if len(x) > x.shape[1] else wide
        parameter.sub_(x.reshape(parameter.shape), alpha=group["lr"])


class Training:
    """A recipe's steps by PyTorch.

    Args:
        recipe: what to do.
        model: the network of fastnn whose twin is trained.
        loader: of the training images.
        layout: of the twin and its batches.
        compiled: train with `torch.compile`.
    Attributes:
        module: the twin.
        losses: of all steps.
        seconds: of all steps.
        compile_seconds: 0 if nothing was compiled.
    """

    def __init__(
        self, recipe: Recipe, model: nn.Module, loader: data.Loader, layout: torch.memory_format, compiled: bool
    ) -> None:
        self.loader = loader
        self.layout = layout
        self.module = torch_twin.twin(model).to(memory_format=layout).train()
        self.model = self.module
        self.criterion = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self.optimizers, self.schedulers = self._make_optimizers(recipe, model)
        self.total_steps = count_steps(recipe.epochs, len(loader))
        self.lookahead = Lookahead(self.module, self.total_steps) if recipe.lookahead else None
        # An Airbench's first layer, whose bias is trained for some steps only.
        self.whitening = getattr(self.module, "whitening", None)
        self.whitening_steps = recipe.whitening_epochs * len(loader)
        self.losses: list[float] = []
        self.seconds = 0.0
        self.compile_seconds = self._compile() if compiled else 0.0

    def _make_optimizers(self, recipe: Recipe, model: nn.Module) -> tuple[list[Any], list[Any]]:
        """PyTorch's SGD, and Muon if the recipe has it, with the groups of the recipe's own; and their schedules."""
        theirs = dict(self.module.named_parameters())
        twins = {id(ours): theirs[name] for name, ours in model.named_parameters()}
        own = recipe.make_optimizer(model)
        factors = iter(recipe.lr_factors(own, len(self.loader)))
        optimizers, schedulers = [], []
        for member in own.optimizers if isinstance(own, optim.MultiOptimizer) else [own]:
            groups = [
                {**group, "params": [twins[id(parameter)] for parameter in group["params"]]}
                for group in member.param_groups
            ]
            twin = Muon(groups) if isinstance(member, optim.Muon) else torch.optim.SGD(groups, fused=True)
            schedule = torch.optim.lr_scheduler.LambdaLR(twin, list(itertools.islice(factors, len(groups))))
            optimizers.append(twin)
            schedulers.append(schedule)
        return optimizers, schedulers

    def _train_whitening(self, on: bool) -> None:
        if self.whitening is not None:
            self.whitening.bias.requires_grad_(on)

    def _compile(self) -> float:
        """Let everything that the steps need be compiled, and nothing be changed; the seconds."""
        start = time.perf_counter()
        self.model = torch.compile(self.module)
        before = copy.deepcopy(self.module.state_dict())
        n = self.loader.batch_size
        x = as_tensor(np.zeros((n, *self.loader.images.shape[1:]), np.float32), self.layout)
        for on in (True, False):
            self._train_whitening(on)
            self.criterion(self.model(x), torch.zeros(n, dtype=torch.int64)).backward()
        self.module.zero_grad()
        self.module.load_state_dict(before)
        return time.perf_counter() - start

    def run(self) -> None:
        """Do all steps."""
        while len(self.losses) < self.total_steps:
            start = time.perf_counter()
            for x, y in itertools.islice(self.loader, self.total_steps - len(self.losses)):
                arrived = time.perf_counter()
                images, labels = as_tensor(x, self.layout), torch.from_numpy(y)
                start += time.perf_counter() - arrived  # as if that had taken no time
                self._step(images, labels)
            self.seconds += time.perf_counter() - start
            print(f"step {len(self.losses)} of {self.total_steps}, loss {self.losses[-1]:.4f}", file=sys.stderr)

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._train_whitening(len(self.losses) < self.whitening_steps)
        loss = self.criterion(self.model(x), y)
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            raise ArithmeticError(f"the loss of step {len(self.losses)} is {self.losses[-1]}")
        self.module.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        if self.lookahead is not None:
            self.lookahead.after(len(self.losses))


def train(
    recipe: Recipe, seed: int, train_set: Any, test_set: Any, layout: torch.memory_format, compiled: bool
) -> dict[str, Any]:
    """Train and evaluate; the main figures that metrics.json of `fastnn train` has, and the losses of all steps."""
    torch.optim.SGD([torch.zeros(1)])  # the first one imports hundreds of modules, and imports count for neither side
    start = time.perf_counter()
    train_loader, test_loader = (
        make_loader(recipe, seed, part, train_set, training=part is train_set) for part in (train_set, test_set)
    )
    run = Training(recipe, make_model(recipe, seed, train_set), train_loader, layout, compiled)
    prepare_seconds = time.perf_counter() - start - run.compile_seconds
    run.run()
    predictor = Predictor(run.module, layout)
    plain, averaged = (training.evaluate(predictor, test_loader, tta=tta).accuracy for tta in (0, recipe.tta))
    return {
        "recipe": recipe.name,
        "test_accuracy": averaged,
        "test_accuracy_plain": plain,
        "tta": recipe.tta,
        "epochs": recipe.epochs,
        "steps": len(run.losses),
        "train_seconds": round(prepare_seconds + run.seconds, 3),
        "prepare_seconds": round(prepare_seconds, 3),
        "compile_seconds": round(run.compile_seconds, 3),
        "images_per_second": round(len(run.losses) * recipe.batch_size / run.seconds, 1),
        "seed": seed,
        "losses": run.losses,
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # No recipe that chooses its best epoch on images put aside: here the last one is the result.
    names = [name for name, recipe in RECIPES.items() if not recipe.validation]
    parser.add_argument("--recipe", choices=names, default=training.DEFAULT_RECIPE)
    parser.add_argument("--dataset", choices=DATASETS, default="auto", help="as for fastnn train")
    parser.add_argument("--data", metavar="DIR", help="where to look for the data set first")
    parser.add_argument("--epochs", metavar="N", type=float, help="default: the recipe's")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument("--train-images", metavar="N", type=int, help="use only the first N")
    parser.add_argument("--test-images", metavar="N", type=int, help="use only the first N")
    parser.add_argument("--threads", metavar="N", type=int, default=fastnn.num_threads())
    parser.add_argument("--layout", choices=LAYOUTS, default="channels_last")
    parser.add_argument("--compile", action="store_true", help="train with torch.compile")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file, too")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    fastnn.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    recipe = choose_recipe(args.recipe, args.epochs)
    name, train_set, test_set = open_dataset(
        args.dataset, args.data, n_train=args.train_images, n_test=args.test_images, say=print
    )
    mode = f"{args.layout}, compiled" if args.compile else args.layout
    threads = "1 thread" if args.threads == 1 else f"{args.threads} threads"
    print(
        f"{recipe.name} on {name}, seed {args.seed}: PyTorch {torch.__version__}, {mode}, "
        f"{threads}, {_machine.cpu_name()}"
    )
    metrics = train(recipe, args.seed, train_set, test_set, LAYOUTS[args.layout], args.compile)
    print(f"{summary(metrics)}, {metrics['images_per_second']:.0f} images/s")
    if args.compile:
        print(f"compiling took {metrics['compile_seconds']:.1f} s more")
    if args.json:
        about = {**_machine.description(), "torch": torch.__version__, "threads": args.threads, "mode": mode}
        Path(args.json).write_text(
            json.dumps({"machine": about, "dataset": name, **metrics}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
