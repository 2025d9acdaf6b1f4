"""A small map of one query: a line to its first match, the ground truth, and the radius of positives."""

import math
from dataclasses import dataclass

from evaluation.report.format_values import format_distance

WIDTH, HEIGHT, PADDING = 100.0, 75.0, 14.0
WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
Point = tuple[float, float]


@dataclass(frozen=True)
class MiniMap:
    """Positions relative to the query, in metres east and north, and the radius of positives."""

    match: Point
    truth: Point | None
    radius: float

    @property
    def direction(self) -> str:
        """Distance and direction from the query to the match."""
        wind = WINDS[round(math.degrees(math.atan2(*self.match)) / 45) % 8]
        return f"{format_distance(math.hypot(*self.match))} {wind}"

    def svg(self, label: str) -> str:
        """Return the map as SVG; the ground truth is left out if it is far outside."""
        metres = max(math.hypot(*self.match), self.radius)
        shown = [(0.0, 0.0), self.match]
        if self.truth and math.hypot(*self.truth) <= 1.5 * metres:
            shown.append(self.truth)
        easts, norths = zip(*shown, strict=True)
        spans = (max(easts) - min(easts), max(norths) - min(norths))
        room = (WIDTH - 2 * PADDING, HEIGHT - 2 * PADDING)
        scale = min(pixels / max(span, 1e-6) for pixels, span in zip(room, spans, strict=True))

        def place(point: Point) -> tuple[float, float]:
            x = WIDTH / 2 + scale * (point[0] - (max(easts) + min(easts)) / 2)
            y = HEIGHT / 2 - scale * (point[1] - (max(norths) + min(norths)) / 2)
            return round(x, 1), round(y, 1)

        (x, y), (to_x, to_y) = place((0, 0)), place(self.match)
        truth = ""
        if len(shown) == 3:
            truth_x, truth_y = place(shown[2])
            truth = f'<circle class="truth" cx="{truth_x}" cy="{truth_y}" r="5"/>'
        return (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">'
            f'<circle class="radius" cx="{x}" cy="{y}" r="{scale * self.radius:.1f}"/>'
            f'<path class="line" d="M{x} {y}L{to_x} {to_y}"/>{truth}<circle class="from" cx="{x}" cy="{y}" r="4"/>'
            f'<path class="to" d="M{to_x - 4} {to_y - 4}l8 8m0-8l-8 8"/></svg>'
        )
