"""Draw docs/trainings.svg, the three trainings of `fsm`: python docs/trainings.py"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("trainings.svg")
WIDTH, HEIGHT = 860, 420
TAUGHT, TEACHER, DATA, MODULE = "#cfe3f7", "#fbe0bf", "#f2f2f2", "#d8efd3"
INK = "#222222"
FROZEN = 'stroke-dasharray="5 4"'


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of the picture: its left upper corner and size in pixels, and one or two lines."""

    x: int
    y: int
    wide: int
    text: str
    fill: str
    below: str = ""
    frozen: bool = False

    def svg(self) -> str:
        """Return the box and its words."""
        dashed = FROZEN if self.frozen else ""
        middle = self.x + self.wide // 2
        first = self.y + (20 if self.below else 27)
        lines = [
            f'<rect x="{self.x}" y="{self.y}" width="{self.wide}" height="44" rx="6" '
            f'fill="{self.fill}" stroke="{INK}" {dashed}/>',
            words(middle, first, self.text, "middle"),
        ]
        if self.below:
            lines.append(words(middle, self.y + 36, self.below, "middle", 11))
        return "\n".join(lines)


BOXES = (
    Box(x=150, y=50, wide=120, text="masks", below="with noise", fill=DATA),
    Box(x=330, y=50, wide=150, text="N_GT", below="the teacher", fill=TEACHER),
    Box(x=540, y=50, wide=120, text="masks", below="clean", fill=DATA),
    Box(x=150, y=150, wide=120, text="CT", fill=DATA),
    Box(x=330, y=150, wide=150, text="N_CT", below="is taught", fill=TAUGHT),
    Box(x=540, y=150, wide=120, text="masks", below="loss", fill=DATA),
    Box(x=360, y=216, wide=90, text="FSM", fill=MODULE),
    Box(x=150, y=282, wide=120, text="true masks", fill=DATA),
    Box(x=330, y=282, wide=150, text="N_GT", below="frozen", fill=TEACHER, frozen=True),
    Box(x=150, y=364, wide=120, text="CT", fill=DATA),
    Box(x=330, y=364, wide=100, text="encoder", below="N_CT's, frozen", fill=TAUGHT, frozen=True),
    Box(x=430, y=364, wide=100, text="decoder", below="N_GT's", fill=TEACHER),
    Box(x=590, y=364, wide=120, text="masks", below="scored", fill=DATA),
)
ARROWS = (
    (270, 72, 330, 72),
    (480, 72, 540, 72),
    (270, 172, 330, 172),
    (480, 172, 540, 172),
    (405, 194, 405, 216),
    (405, 282, 405, 260),
    (270, 304, 330, 304),
    (450, 238, 540, 238),
    (270, 386, 330, 386),
    (530, 386, 590, 386),
)
WORDS = (
    (20, 76, "stage 1"),
    (20, 176, "stage 2"),
    (20, 390, "stage 3"),
    (415, 209, "F"),
    (415, 276, "G"),
    (548, 243, "M: made smaller, beside the loss"),
)


def words(x: int, y: int, text: str, anchor: str = "start", size: int = 14) -> str:
    """Return a line of text at a place."""
    look = f'text-anchor="{anchor}" font-size="{size}" fill="{INK}"'
    return f'<text x="{x}" y="{y}" {look}>{text}</text>'


def arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    """Return an arrow from one place to another."""
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{INK}" marker-end="url(#tip)"/>'
    )


def picture() -> str:
    """Return the whole picture as SVG."""
    tip = (
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        f'<path d="M0,0 L9,4 L0,8 z" fill="{INK}"/></marker></defs>'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" role="img">',
        "<title>The three trainings of fsm</title>",
        tip,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        words(20, 24, "Blue: reads CT. Orange: reads masks. Dashed: frozen.", size=12),
        *(box.svg() for box in BOXES),
        *(arrow(*line) for line in ARROWS),
        *(words(*place) for place in WORDS),
        "</svg>\n",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(picture(), encoding="utf-8")
