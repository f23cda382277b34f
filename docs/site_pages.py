"""What the site shows otherwise than the repository does.

Equations stand between dollar signs, and become MathML, which browsers draw without a script or a
font from elsewhere. Links to files of the repository that are no pages keep their text alone.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from latex2mathml.converter import convert

CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\w$\\])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\w$])")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs calls it with the text of each page."""
    folder = posixpath.dirname(page.file.src_uri)
    return with_equations(within(markdown, folder))


def within(text: str, folder: str) -> str:
    """A text without its links out of docs/.

    >>> within("[a](../b.py), [c](d.md)", "")
    'a, [c](d.md)'

    Args:
        text: of a page.
        folder: of the page, in docs/.
    """

    def kept(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] if place.startswith("..") else link[0]

    return LINK.sub(kept, text)


def with_equations(text: str) -> str:
    """A text with its equations drawn, but for those in code.

    >>> "<msub>" in with_equations("so $s_t$ is"), with_equations("`$s_t$`")
    (True, '`$s_t$`')
    """
    parts = CODE.split(text)
    return "".join(part if number % 2 else drawn(part) for number, part in enumerate(parts))


def drawn(text: str) -> str:
    """A text without code with its equations drawn."""
    text = BLOCK.sub(lambda found: f"\n\n<div>{mathml(found[1], 'block')}</div>\n\n", text)
    return INLINE.sub(lambda found: mathml(found[1], "inline"), text)


def mathml(latex: str, display: str) -> str:
    """An equation as MathML in one line."""
    return " ".join(str(convert(latex.strip(), display=display)).split())
