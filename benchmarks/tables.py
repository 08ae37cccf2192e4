"""Tables and headings of the results, as RST."""

from __future__ import annotations


def rst_table(rows: list[list[str]]) -> str:
    """The first row is the header. A cell of the first column must not be empty: it would join the row above."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def heading(text: str, line: str = "-") -> str:
    return f"{text}\n{line * len(text)}"


def page(title: str, facts: dict[str, str], *parts: str) -> str:
    """A whole document: its title, what it was measured on, and the rest."""
    listed = "\n".join(f":{name}: {value}" for name, value in facts.items())
    return "\n\n".join(part.strip("\n") for part in (heading(title, "="), listed, *parts)) + "\n"


def doubtful(remarks: list[str]) -> list[str]:
    """The part with what makes numbers doubtful, if anything does."""
    return ["Doubtful:\n\n" + "\n".join(f"- {remark}" for remark in remarks)] if remarks else []


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
