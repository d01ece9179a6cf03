"""Draws the loss curves of training logs as SVG.

python plot.py OUT.svg target=WORK/target.log.jsonl draft=WORK/draft.log.jsonl"""

import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 720, 400, 50
COLORS = ["#1f6fb2", "#d1592a", "#3a8f4d", "#7d4fa3"]
SERIES = {"loss": "training", "validation": "validation", "early_exit": "early exit, validation"}


def read_series(path: Path) -> dict[str, list[tuple[int, float]]]:
    series: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        for key in SERIES:
            if entry.get(key):
                series.setdefault(key, []).append((entry["step"], entry[key]))
    return series


def axes(last_step: int, low: float, high: float) -> list[str]:
    parts = []
    for i in range(6):
        x = MARGIN + (WIDTH - 2 * MARGIN) * i / 5
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * i / 5
        value = math.exp(math.log(low) + (math.log(high) - math.log(low)) * i / 5)
        parts.append(f'<text x="{x:.0f}" y="{HEIGHT - 28}" text-anchor="middle">{last_step * i // 5}</text>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4:.0f}" text-anchor="end">{value:.2f}</text>')
        parts.append(f'<path d="M{MARGIN} {y:.0f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
    parts.append(
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">step (loss: log scale)</text>'
    )
    return parts


def draw(logs: dict[str, Path]) -> str:
    curves = [
        (f"{name}, {SERIES[k]}", v) for name, path in logs.items() for k, v in read_series(path).items()
    ]
    points = [p for _, curve in curves for p in curve]
    last_step = max(step for step, _ in points)
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    parts = axes(last_step, low, high)
    for index, (name, curve) in enumerate(curves):
        color, dash = COLORS[index % len(COLORS)], "" if "training" in name else ' stroke-dasharray="6 3"'
        place = lambda step, loss: (
            MARGIN + (WIDTH - 2 * MARGIN) * step / last_step,
            HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * math.log(loss / low) / math.log(high / low),
        )
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"{dash}/>')
        parts.append(
            f'<text x="{WIDTH - MARGIN - 210}" y="{MARGIN + 18 * index}" fill="{color}">{name}</text>'
        )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def main() -> None:
    out, *pairs = sys.argv[1:]
    Path(out).write_text(draw({name: Path(path) for name, path in (p.split("=", 1) for p in pairs)}))


if __name__ == "__main__":
    main()
