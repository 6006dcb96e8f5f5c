"""Formats and widths of figures for papers; the command line reads them, so nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

SINGLE_MM, DOUBLE_MM = 85.0, 178.0
"""Widths of one and of two columns of a journal."""
_MM = 25.4


class Form(StrEnum):
    """The format of figures."""

    SVG = "svg"
    PNG = "png"
    PDF = "pdf"

    @property
    def metadata(self) -> dict[str, Any]:
        """What the file says of itself: no time, so that it does not change from day to day."""
        return {Form.SVG: {"Date": None}, Form.PDF: {"CreationDate": None}, Form.PNG: {}}[self]


class Width(StrEnum):
    """How wide figures are: one column of a journal, 85 mm, or two, 178 mm."""

    SINGLE = "single"
    DOUBLE = "double"

    @property
    def inches(self) -> float:
        """The width of one or two columns."""
        return (SINGLE_MM if self is Width.SINGLE else DOUBLE_MM) / _MM
