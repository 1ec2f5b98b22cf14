"""Adam as the bi-level step needs it: its preconditioner can be looked at, and its state saved and taken up again."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
BETAS, EPS = (0.9, 0.999), 1e-8
RATE = "learning_rate"


class Adam:
    """Adam on the parameters of *module*, by name. Weight decay joins the gradient, as in the paper's L2 term."""

    def __init__(self, module: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> None:
        """Begin with moments of 0."""
        self.learning_rate = learning_rate
        self._names = [name for name, _ in module.named_parameters()]
        self._parameters = [value for _, value in module.named_parameters()]
        self._made = torch.optim.Adam(self._parameters, learning_rate, BETAS, EPS, weight_decay)

    def step(self, gradients: Mapping[str, Tensor] | None = None) -> None:
        """Move by *gradients*, or by those that stand in the parameters."""
        if gradients is not None:
            for name, parameter in zip(self._names, self._parameters, strict=True):
                parameter.grad = gradients[name]
        self._made.step()

    def preconditioner(self) -> Tensors | None:
        """1/(√v̂ + ε) of every parameter as earlier steps left it; None before the first step."""
        if not self._made.state:
            return None
        return {name: self._scale(value) for name, value in zip(self._names, self._parameters, strict=True)}

    def _scale(self, parameter: Tensor) -> Tensor:
        state = self._made.state[parameter]
        corrected = state["exp_avg_sq"] / (1 - BETAS[1] ** float(state["step"]))
        scale: Tensor = (corrected.sqrt() + EPS).reciprocal()
        return scale

    def slow_down(self) -> None:
        """Halve the learning rate."""
        self._set_rate(self.learning_rate / 2)

    def _set_rate(self, rate: float) -> None:
        self.learning_rate = rate
        for group in self._made.param_groups:
            group["lr"] = rate

    def state(self) -> Tensors:
        """All that a step depends on besides the parameters."""
        moments = {
            f"{name}/{key}": torch.as_tensor(value).clone()
            for name, parameter in zip(self._names, self._parameters, strict=True)
            for key, value in self._made.state[parameter].items()
        }
        return {**moments, RATE: torch.tensor(self.learning_rate, dtype=torch.float64)}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        self._set_rate(float(state[RATE]))
        for name, parameter in zip(self._names, self._parameters, strict=True):
            found = {key.rpartition("/")[2]: value for key, value in state.items() if key.rpartition("/")[0] == name}
            if found:
                self._made.state[parameter] = found
