"""A report that is printed to the terminal and written as one HTML file.

The file is self-contained: figures and audio are embedded.
"""

import base64
import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import matplotlib.figure


class Page:
    """A report made of sections with text, tables, figures and audio.

    Text and tables are printed as soon as they are added; figures and audio appear in
    the HTML file only. `write` writes the file.

    Args:
        title: Title of the HTML page.
        console: Where text and tables are printed; the terminal by default.

    Example:
        >>> page = Page("Two and two", console=Console(width=20))
        >>> page.section("A sum")
        <BLANKLINE>
        A sum
        >>> page.table(["2 + 2"], [["4"]])
         2 + 2
             4
    """

    def __init__(self, title: str, *, console: Console | None = None):
        self.title = title
        self.console = console or Console(highlight=False)
        self._sections: list[dict[str, Any]] = []
        self._current: dict[str, Any] | None = None
        self._figures: list[bytes] = []

    def section(self, title: str, *, first: bool = False) -> None:
        """Starts a section.

        Args:
            title: Its title.
            first: Whether it comes before all others in the HTML file.
        """
        self.console.print(f"\n{title}", style="bold", markup=False)
        self._current = {"title": title, "parts": []}
        self._sections.insert(0 if first else len(self._sections), self._current)

    def text(self, text: str) -> None:
        """Adds a paragraph."""
        self.console.print(text, markup=False)
        self._add("text", text)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        caption: str = "",
    ) -> None:
        """Adds a table.

        Args:
            columns: Column names; if all are empty, the table has no header.
            rows: The cells, row by row. With a header, the first column is aligned
                left; all other cells are aligned right.
            caption: A line above the table.
        """
        table = Table(box=None, show_header=any(columns))
        for i, name in enumerate(columns):
            label = i == 0 and any(columns)
            justify = "left" if label else "right"
            table.add_column(name, justify=justify, no_wrap=not label)
        for row in rows:
            table.add_row(*map(escape, row))
        if caption:
            self.console.print(caption, style="italic", markup=False)
        self.console.print(table)
        self._add("table", {"columns": columns, "rows": rows, "caption": caption})

    def figure(self, figure: "matplotlib.figure.Figure", caption: str) -> None:
        """Adds a figure with its caption to the HTML file."""
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110)
        self._figures.append(file.getvalue())
        png = base64.b64encode(file.getvalue()).decode()
        self._add("figure", {"png": png, "caption": caption})

    def audio(self, clips: Mapping[str, np.ndarray], *, rate: int) -> None:
        """Adds a row of audio players to the HTML file.

        Args:
            clips: Name → samples from −1 to 1; a clip beyond this range is scaled down
                to it.
            rate: Samples per second.
        """
        coded = {name: _wav(samples, rate) for name, samples in clips.items()}
        self._add("audio", coded)

    def write(self, path: str | Path, *, footer: str = "") -> None:
        """Writes the HTML file, and the figures as PNG files into `figures/` beside it.

        Args:
            path: Path of the HTML file.
            footer: Last line of the page, such as the command and the hardware.
        """
        environment = Environment(
            loader=PackageLoader("cnn_jax.report", "."),
            autoescape=True,
            undefined=StrictUndefined,
        )
        html = environment.get_template("page.html.j2").render(
            title=self.title, sections=self._sections, footer=footer
        )
        Path(path).write_text(html, encoding="utf-8")
        folder = Path(path).parent / "figures"
        folder.mkdir(exist_ok=True)
        for i, png in enumerate(self._figures, 1):
            (folder / f"{i:02}.png").write_bytes(png)

    def _add(self, kind: str, part: Any) -> None:
        if self._current is None:
            self._current = {"title": self.title, "parts": []}
            self._sections.append(self._current)
        self._current["parts"].append((kind, part))


def _wav(samples: np.ndarray, rate: int) -> str:
    """A clip as a 16-bit WAV file, in base64."""
    level = 32767 / max(1.0, float(np.abs(samples).max()))
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes((level * samples).astype("<i2").tobytes())
    return base64.b64encode(file.getvalue()).decode()
