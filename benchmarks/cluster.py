"""What a step costs by its formulas, and what many GPUs would make of it: a model, not a measurement.

docs/scaling.md explains the formulas and shows the table that ``python -m benchmarks.cluster`` prints.
"""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Shape:
    """What decides the arithmetic of a model with the PerceiverEncoder and reconstruction objectives."""

    dim: int
    latents: int
    depth: int
    features: int
    """Of all modalities together."""
    tokens: float
    """Of a visit, on average, that an objective shows to the encoder: what it withholds or was not measured is none."""
    frequencies: int = 4
    objectives: int = 2

    @property
    def parameters(self) -> int:
        """Without heads; norms and biases of single layers are left out (under 1 %)."""
        return 2 * self.features * self.dim + self.depth * 12 * self.dim**2 + self.latents * self.dim**2

    def step_flops(self, visits: int) -> float:
        """Floating-point operations of one step over so many visits: forward, and twice that backward.

        A multiply and an add are two operations. Fused attention computes its weights again on the way back, which
        counts as torch's counter counts it: 3.5 times the forward in all.
        """
        d, m, f, t = self.dim, self.latents, self.features, self.tokens
        basis = 2 * self.frequencies + 2
        once = 2 * f * d * m + 2 * 2 * f * d  # scores of every feature, scale and offset of its value
        blocks = self.depth * 24 * m * d**2
        visit = 2 * t * basis * d + 2 * t * m * d + blocks + 2 * m * d**2 + 2 * f * d
        attention = self.depth * 4 * m**2 * d
        return self.objectives * (3 * (once + visits * visit) + 3.5 * visits * attention)


@dataclass(frozen=True)
class Cluster:
    """Assumed, not measured: nodes of eight H100 or H200, a 400 Gbit/s link out of the node for each GPU."""

    flops: float = 785e12
    """bf16, of an 8192^3 product as measured by others on an H200 (769 to 798; the data sheet says 989)."""
    mfu: float = 0.45
    """Share of it that a step reaches: the goal, not yet measured."""
    within: float = 0.8 * 450e9
    """Bytes per second and direction of a GPU's NVLink, at 80 % of the data sheet."""
    between: float = 0.8 * 50e9
    """Bytes per second and direction of a GPU's share of the network, at 80 %."""
    latency: float = 10e-6
    """Seconds of one hop of a ring."""
    hidden: float = 2 / 3
    """Share of the step's arithmetic, its backward pass, behind which gradients travel."""
    per_node: int = 8


@dataclass(frozen=True)
class Prediction:
    """Of one step; seconds and bytes are of one GPU."""

    compute: float
    traffic: float
    communication: float
    exposed: float

    @property
    def efficiency(self) -> float:
        """Of one GPU among all, beside one alone with as many visits (weak scaling)."""
        return self.compute / (self.compute + self.exposed)


def predict(
    shape: Shape, gpus: int, *, visits: int, cluster: Cluster | None = None, sharded: bool = False
) -> Prediction:
    """A step of ``visits`` on each of ``gpus``, with gradients averaged (DDP, float32) or weights ``sharded`` too
    (FSDP2, ZeRO-3: weights in bf16 gathered twice, gradients scattered in float32).

    A ring over n places moves (n - 1) / n of the bytes once to gather or to scatter, and in n - 1 hops. An all-reduce
    does both: first within a node, then between the nodes, where each GPU carries an eighth.
    """
    own = cluster or Cluster()
    compute = shape.step_flops(visits) / (own.flops * own.mfu)
    inside, nodes = min(gpus, own.per_node), max(1, gpus // own.per_node)
    size = shape.parameters * (2 * 2 + 4 if sharded else 2 * 4)  # bytes that rings carry, each once
    passes = 3 if sharded else 2
    near, far = size * (inside - 1) / inside, size / inside * (nodes - 1) / nodes
    hops = passes * (inside - 1 + nodes - 1)
    communication = near / own.within + far / own.between + hops * own.latency
    return Prediction(compute, near + far, communication, max(0.0, communication - own.hidden * compute))


SHAPES = {
    "base": Shape(dim=256, latents=64, depth=6, features=24_000, tokens=390),
    "large": Shape(dim=512, latents=64, depth=12, features=24_000, tokens=390),
    "wider": Shape(dim=1024, latents=128, depth=12, features=24_000, tokens=1_040),
}
GPUS = (8, 64, 512)


def table(visits: tuple[int, ...] = (32, 256)) -> str:
    """The predictions of docs/scaling.md, as Markdown; DDP's bytes and times, and both efficiencies."""
    lines = [
        "| model | visits a GPU | GPUs | arithmetic | bytes a GPU sends | on the way | not hidden | DDP | FSDP2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, shape), number, gpus in product(SHAPES.items(), visits, GPUS):
        plain = predict(shape, gpus, visits=number)
        sharded = predict(shape, gpus, visits=number, sharded=True)
        lines.append(
            f"| {name}: {shape.parameters / 1e6:.0f} M | {number} | {gpus} | {plain.compute * 1e3:.1f} ms |"
            f" {plain.traffic / 1e9:.2f} GB | {plain.communication * 1e3:.1f} ms | {plain.exposed * 1e3:.1f} ms |"
            f" {plain.efficiency:.0%} | {sharded.efficiency:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
