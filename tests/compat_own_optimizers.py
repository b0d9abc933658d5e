"""Optimisers as scripts write them, in PyTorch's words: each is made for the library that it is given."""

import math
from collections import defaultdict


def sharpness_aware(torch):
    """Two gradients a step: at the weights, and where the loss rises fastest nearby."""

    class SharpnessAware(torch.optim.Optimizer):
        def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
            super().__init__(params, dict(rho=rho, **kwargs))
            self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
            self.param_groups = self.base_optimizer.param_groups
            self.defaults.update(self.base_optimizer.defaults)

        @torch.no_grad()
        def first_step(self, zero_grad=False):
            norm = torch.norm(
                torch.stack(
                    [p.grad.norm(p=2) for group in self.param_groups for p in group["params"] if p.grad is not None]
                ),
                p=2,
            )
            for group in self.param_groups:
                scale = group["rho"] / (norm + 1e-12)
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    self.state[p]["old_p"] = p.data.clone()
                    p.add_(p.grad * scale.to(p))
            if zero_grad:
                self.zero_grad()

        @torch.no_grad()
        def second_step(self, zero_grad=False):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.data = self.state[p]["old_p"]
            self.base_optimizer.step()
            if zero_grad:
                self.zero_grad()

        @torch.no_grad()
        def step(self, closure=None):
            closure = torch.enable_grad()(closure)
            self.first_step(zero_grad=True)
            closure()
            self.second_step()

        def load_state_dict(self, state_dict):
            super().load_state_dict(state_dict)
            self.base_optimizer.param_groups = self.param_groups

    return lambda params: SharpnessAware(params, torch.optim.SGD, lr=0.1, momentum=0.9)


def looking_ahead(torch):
    """Slow weights that follow those of another optimiser every few steps."""

    class LookingAhead(torch.optim.Optimizer):
        def __init__(self, optimizer, k=3, alpha=0.5):
            self.optimizer, self.k, self.alpha = optimizer, k, alpha
            self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
            self.state = defaultdict(dict)
            self.fast_state = optimizer.state
            for group in self.param_groups:
                group["counter"] = 0

        def update(self, group):
            for fast in group["params"]:
                state = self.state[fast]
                if "slow_param" not in state:
                    state["slow_param"] = torch.zeros_like(fast.data)
                    state["slow_param"].copy_(fast.data)
                slow = state["slow_param"]
                slow += (fast.data - slow) * self.alpha
                fast.data.copy_(slow)

        def step(self, closure=None):
            loss = self.optimizer.step(closure)
            for group in self.param_groups:
                if group["counter"] == 0:
                    self.update(group)
                group["counter"] = (group["counter"] + 1) % self.k
            return loss

        def zero_grad(self, set_to_none=True):
            self.optimizer.zero_grad(set_to_none)

    return lambda params: LookingAhead(torch.optim.Adam(params, lr=0.05))


def layer_wise(torch):
    """Rates by the norms of weights and gradients, without decay for vectors."""

    class LayerWise(torch.optim.Optimizer):
        def __init__(self, params, lr, weight_decay=0.1, momentum=0.9, eta=0.1):
            super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta})

        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("eta", 0.001)

        @torch.no_grad()
        def step(self):
            for g in self.param_groups:
                for p in g["params"]:
                    dp = p.grad
                    if dp is None:
                        continue
                    if p.ndim > 1:
                        dp = dp.add(p, alpha=g["weight_decay"])
                        param_norm, update_norm = torch.norm(p), torch.norm(dp)
                        one = torch.ones_like(param_norm)
                        q = torch.where(
                            param_norm > 0.0,
                            torch.where(update_norm > 0, g["eta"] * param_norm / update_norm, one),
                            one,
                        )
                        dp = dp.mul(q)
                    state = self.state[p]
                    if "mu" not in state:
                        state["mu"] = torch.zeros_like(p)
                    mu = state["mu"]
                    mu.mul_(g["momentum"]).add_(dp)
                    p.add_(mu, alpha=-g["lr"])

    return lambda params: LayerWise(params, 0.5)


def rectified(torch):
    """Adam with a warm-up of its variance, in the words of 2019."""

    class Rectified(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
            defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
            super().__init__(params, defaults)

        def step(self, closure=None):
            loss = None
            if closure is not None:
                loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad = p.grad.data.double()
                    if grad.is_sparse:
                        raise RuntimeError("sparse gradients are not supported")
                    p_data = p.data.double()
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"] = torch.zeros_like(p_data)
                        state["exp_avg_sq"] = torch.zeros_like(p_data)
                    else:
                        state["exp_avg"] = state["exp_avg"].type_as(p_data)
                        state["exp_avg_sq"] = state["exp_avg_sq"].type_as(p_data)
                    exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                    beta1, beta2 = group["betas"]
                    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                    state["step"] += 1
                    beta2_t = beta2 ** state["step"]
                    longest = 2 / (1 - beta2) - 1
                    length = longest - 2 * state["step"] * beta2_t / (1 - beta2_t)
                    if group["weight_decay"] != 0:
                        p_data.add_(p_data, alpha=-group["weight_decay"] * group["lr"])
                    rate = group["lr"] / (1 - beta1 ** state["step"])
                    if length >= 5:
                        rate *= math.sqrt(
                            (1 - beta2_t)
                            * (length - 4)
                            / (longest - 4)
                            * (length - 2)
                            / length
                            * longest
                            / (longest - 2)
                        )
                        denom = exp_avg_sq.sqrt().add_(group["eps"])
                        p_data.addcdiv_(exp_avg, denom, value=-rate)
                    else:
                        p_data.add_(exp_avg, alpha=-rate)
                    p.data.copy_(p_data)
            return loss

    return lambda params: Rectified(params, lr=0.05, weight_decay=0.1)


def clipped_by_hand(torch):
    """Plain descent with clipped gradients and noise-free decay, written on `.data`."""

    class Clipped(torch.optim.Optimizer):
        def __init__(self, params, lr=0.1, most=0.5):
            super().__init__(params, {"lr": lr, "most": most})

        def step(self, closure=None):
            for group in self.param_groups:
                total = sum(p.grad.data.pow(2).sum().item() for p in group["params"] if p.grad is not None) ** 0.5
                share = min(1.0, group["most"] / (total + 1e-6))
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    d_p = p.grad.data
                    buf = self.state[p].get("momentum_buffer")
                    if buf is None:
                        buf = self.state[p]["momentum_buffer"] = torch.clone(d_p).detach()
                    else:
                        buf.mul_(0.5).add_(d_p * share)
                    p.data -= group["lr"] * buf
                    p.grad.data.zero_()

    return lambda params: Clipped(params)


OPTIMIZERS = {
    function.__name__: function for function in (sharpness_aware, looking_ahead, layer_wise, rectified, clipped_by_hand)
}
