"""A report, printed to the terminal while it is made and written as an HTML page.

The page is one self-contained file that includes its figures.
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
    """Sections of text, tables and figures.

    Text and tables are printed when they are added; `write` makes the page.

    Args:
        title: The title of the page.
        console: The output; the terminal by default.

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
        self._figures: list[bytes] = []

    def section(self, title: str) -> None:
        """Begins a section."""
        self.console.print(f"\n{title}", style="bold", markup=False)
        self._sections.append({"title": title, "parts": []})

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
        """Adds a table, its first column set left; without names, a board."""
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
        """Adds a figure to the page, and nothing to the terminal."""
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110)
        self._figures.append(file.getvalue())
        png = base64.b64encode(file.getvalue()).decode()
        self._add("figure", {"png": png, "caption": caption})

    def audio(self, clips: Mapping[str, np.ndarray], *, rate: int) -> None:
        """Adds a row of sounds that the page plays, and nothing to the terminal.

        Args:
            clips: Samples from −1 to 1 by what they are; a louder one is made softer
                until it is not cut off.
            rate: Samples per second.
        """
        coded = {name: _wav(samples, rate) for name, samples in clips.items()}
        self._add("sounds", coded)

    def write(self, path: str | Path, *, footer: str = "") -> None:
        """Writes the page, and its figures once more into `figures/` beside it.

        Args:
            path: Where to.
            footer: The last line, such as the command and the hardware.
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
        if not self._sections:
            self._sections.append({"title": self.title, "parts": []})
        self._sections[-1]["parts"].append((kind, part))


def _wav(samples: np.ndarray, rate: int) -> str:
    """A sound as a WAV file of 16 bits, in base 64."""
    level = 32767 / max(1.0, float(np.abs(samples).max()))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((level * samples).astype("<i2").tobytes())
    return base64.b64encode(file.getvalue()).decode()
