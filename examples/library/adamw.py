"""AdamW from its formula, traced on one parameter and then used to fit a line, beside plain gradient descent.

Run `python adamw.py`. The trace shows why the first update has the size of the learning rate whatever the
size of the gradient, and the fit shows two very differently scaled weights arriving together.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class AdamW:
    """Adam with bias correction and decoupled weight decay (Loshchilov and Hutter, 2019).

    One step changes `w` in place by  w -= lr * (m_hat / (sqrt(v_hat) + eps) + wd * w).
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.0
    step_count: int = 0
    m: np.ndarray = field(default_factory=lambda: np.zeros(0))
    v: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def step(self, w: np.ndarray, gradient: np.ndarray) -> None:
        if self.step_count == 0:
            self.m, self.v = np.zeros_like(w), np.zeros_like(w)
        self.step_count += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        # Both averages start at zero and are too small at first; these divisors undo exactly that.
        m_hat = self.m / (1 - self.beta1**self.step_count)
        v_hat = self.v / (1 - self.beta2**self.step_count)
        w -= self.lr * (m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * w)


def trace() -> None:
    """Three steps on one weight, every quantity printed."""
    optimizer = AdamW(lr=0.1, weight_decay=0.1)
    w = np.array([1.0])
    print("step  gradient        m        v    m_hat    v_hat        w")
    for gradient in (4.0, 2.0, -1.0):
        optimizer.step(w, np.array([gradient]))
        t, m, v = optimizer.step_count, optimizer.m[0], optimizer.v[0]
        m_hat, v_hat = m / (1 - optimizer.beta1**t), v / (1 - optimizer.beta2**t)
        print(f"{t:4d}  {gradient:8.1f} {m:8.4f} {v:8.4f} {m_hat:8.4f} {v_hat:8.4f} {w[0]:8.4f}")


def line_data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sixty-four points of y = 5 a + 3 b, where feature b is a hundred times smaller than feature a."""
    x = rng.normal(size=(64, 2)) * np.array([1.0, 0.01])
    return x, x @ np.array([5.0, 3.0])


def gradient_of(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of the mean squared error of x @ w, shape (2,)."""
    return 2 * x.T @ (x @ w - y) / len(y)


def fit(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights after `steps` steps of gradient descent and of AdamW, from the same start."""
    x, y = line_data(np.random.default_rng(0))
    plain, adaptive = np.zeros(2), np.zeros(2)
    optimizer = AdamW(lr=0.1)
    for step in range(steps):
        plain -= 0.1 * gradient_of(plain, x, y)
        # A constant rate would leave a small jitter; falling to zero lets the weights settle.
        optimizer.lr = 0.1 * (1 - step / steps)
        optimizer.step(adaptive, gradient_of(adaptive, x, y))
    return plain, adaptive


def main() -> None:
    trace()
    plain, adaptive = fit(steps=500)
    print("\ny = 5a + 3b after 500 steps, with b a hundred times smaller than a:")
    print(f"  gradient descent  a = {plain[0]:.3f}, b = {plain[1]:.3f}")
    print(f"  AdamW             a = {adaptive[0]:.3f}, b = {adaptive[1]:.3f}")


if __name__ == "__main__":
    main()
