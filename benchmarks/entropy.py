"""What three estimators of entropy make of a few samples from many modes (claim SQD-4).

The paper's setting: 2 000 samples, 10 177 modes (the identities of CelebA). Four truths: all modes alike, the law of
Zipf, 1 000 of the modes alike, 100 of them alike. Of each estimate the mean over many draws, its bias and its spread,
in nats.

    python benchmarks/entropy.py
"""

import argparse
import math

import torch

from lit_gans.metrics import james_stein_entropy, miller_madow_entropy, plugin_entropy
from lit_gans.streams import stream

ESTIMATORS = {
    "plug-in": plugin_entropy,
    "Miller-Madow": miller_madow_entropy,
    "James-Stein": james_stein_entropy,
}


def truths(n_modes: int) -> dict[str, torch.Tensor]:
    """Shares of the modes, by name."""
    zipf = 1 / torch.arange(1, n_modes + 1, dtype=torch.float64)
    some = {f"{k} modes alike": (torch.arange(n_modes) < k).double() / k for k in (1000, 100)}
    return {
        "all modes alike": torch.full((n_modes,), 1 / n_modes, dtype=torch.float64),
        "Zipf": zipf / zipf.sum(),
        **some,
    }


def estimates(truth: torch.Tensor, n_samples: int, draws: int) -> dict[str, torch.Tensor]:
    """Each estimator's estimate of every draw."""
    generator = stream(0, "estimators of entropy")
    counts = torch.stack(
        [
            torch.multinomial(truth, n_samples, replacement=True, generator=generator).bincount(minlength=len(truth))
            for _ in range(draws)
        ]
    )
    return {name: estimator(counts) for name, estimator in ESTIMATORS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--modes", type=int, default=10_177)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    print(f"{options.samples} samples, {options.modes} modes, ln m = {math.log(options.modes):.3f}\n")
    print(f"| truth | entropy | {' | '.join(ESTIMATORS)} |\n|---|---|{'---|' * len(ESTIMATORS)}")
    for name, truth in truths(options.modes).items():
        entropy = -torch.special.xlogy(truth, truth).sum().item()
        cells = [
            f"{found.mean():.3f} ({found.mean() - entropy:+.3f} ± {found.std():.3f})"
            for found in estimates(truth, options.samples, options.draws).values()
        ]
        print(f"| {name} | {entropy:.3f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
