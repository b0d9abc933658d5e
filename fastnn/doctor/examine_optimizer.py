"""The optimiser: which parameters it has, and what its settings do to them."""

from typing import Any

from fastnn import nn
from fastnn.doctor.findings import Finding

__all__ = ["examine_optimizer", "hidden_layers", "is_scheduled", "learning_rate"]

# Decay alone shrinks a weight by 1/e in 1 / (lr * weight_decay) steps. The published recipes with the strongest decay
# take about 250 (Jordan, 2024). In 100 steps of a data set of thousands of images, little is learned that would last.
LEAST_STEPS_OF_DECAY = 100.0


def learning_rate(optimizer: Any) -> float:
    """The largest learning rate of its groups."""
    return max((float(group.get("lr", 0.0)) for group in optimizer.param_groups), default=0.0)


def is_scheduled(optimizer: Any) -> bool:
    """Whether a schedule sets its learning rates, which then need not be what most steps have."""
    return any("initial_lr" in group for group in optimizer.param_groups)


def examine_optimizer(model: nn.Module, optimizer: Any) -> list[Finding]:
    """Findings about an optimiser, for this network."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    trained = [(path, parameter) for path, parameter in model.named_parameters() if parameter.requires_grad]
    everything = sum(1 for _ in model.parameters())
    found = hidden_layers(model)
    if everything and not trained:
        found.append(
            Finding(
                "all_frozen",
                "error",
                f"none of the {everything} parameters requires a gradient",
                "requires_grad_(False) was called on the whole network",
                "unfreeze the layers to train: layer.requires_grad_(True)",
            )
        )
        return found
    missing = [path for path, parameter in trained if id(parameter) not in held]
    if trained and len(missing) == len(trained):
        found.append(
            Finding(
                "optimizer_of_another_model",
                "error",
                f"the optimiser holds {len(held)} parameters, and none of this network's {len(trained)}",
                "the optimiser was made for another network, or layers were replaced after it was made",
                "make the optimiser last: optim.SGD(model.parameters(), ...)",
            )
        )
        return found
    if missing:
        shown = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
        found.append(
            Finding(
                "parameters_not_in_optimizer",
                "warning",
                f"{len(missing)} of {len(trained)} trainable parameters are not in the optimiser: {shown}",
                "layers were added or replaced after the optimiser was made, or a group was left out",
                "make the optimiser last, of model.parameters(); freeze what is not to be trained by "
                "requires_grad_(False)",
                missing[0].rpartition(".")[0],
            )
        )
    frozen = [path for path, parameter in model.named_parameters() if not parameter.requires_grad]
    if frozen:
        found.append(
            Finding(
                "frozen_parameters",
                "note",
                f"{len(frozen)} of {everything} parameters are frozen, the first is {frozen[0]}",
                "requires_grad_(False)",
                "nothing, if it is meant so",
                frozen[0].rpartition(".")[0],
            )
        )
    return [*found, *_settings(optimizer)]


def _settings(optimizer: Any) -> list[Finding]:
    found = []
    groups = [group for group in optimizer.param_groups if group["params"]]
    if groups and all(group.get("lr") == 0 for group in groups):
        found.append(
            Finding(
                "learning_rate_zero",
                "note" if is_scheduled(optimizer) else "error",
                "the learning rate of every group is 0",
                "a schedule that has ended or begins at 0" if is_scheduled(optimizer) else "a setting left at 0",
                "set the learning rate; training.lr_range_test suggests one",
            )
        )
    rates: list[tuple[float, dict[str, Any]]] = [
        (float(group.get("lr", 0.0)) * float(group.get("weight_decay", 0.0) or 0.0), group) for group in groups
    ]
    rate, group = max(rates, key=lambda pair: pair[0], default=(0.0, {}))
    if rate > 1 / LEAST_STEPS_OF_DECAY:
        found.append(
            Finding(
                "weight_decay_too_large",
                "warning",
                f"lr * weight_decay = {group['lr']:g} * {group['weight_decay']:g} = {rate:.3g}: without a gradient, "
                f"weights shrink by a factor e in {1 / rate:.3g} steps",
                "a weight decay that is too large, or one for another convention (of a sum over the batch)",
                "weight_decay=5e-4 with SGD, 0.01 with AdamW",
            )
        )
    return found


def hidden_layers(model: nn.Module) -> list[Finding]:
    """Layers and parameters in plain lists, tuples and dicts, which are not found and so not trained."""
    known = {id(part) for part in [*model.modules(), *model.parameters()]}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            hidden = [item for item in items if isinstance(item, nn.Module | nn.Parameter) and id(item) not in known]
            if name.startswith("_") or not hidden:
                continue
            where = f"{path}.{name}" if path else name
            return [
                Finding(
                    "hidden_layers",
                    "warning",
                    f"{len(hidden)} layers or parameters are in the {type(value).__name__} {where}",
                    "layers in a plain list are not found: not by the optimiser, nor by train() and eval()",
                    "keep them in nn.ModuleList or nn.Sequential",
                    where,
                )
            ]
    return []
