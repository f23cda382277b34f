"""A Markdown text as one HTML page that stands alone: no network, light and dark, narrow and wide.

The text is our own: HTML in it is kept.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path

from markdown_it import MarkdownIt

from benchmarks.figures import as_data

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
IMAGE = re.compile(r'src="([^"]+\.svg)"')
HEADING = re.compile(r"<h([23])>(.*?)</h\1>")


def as_page(markdown: str, title: str, images: Mapping[str, str]) -> str:
    """The page.

    Args:
        markdown: its text.
        title: of the window.
        images: the address of an image in the text -> its SVG, which the page holds.

    Raises:
        KeyError: the text shows an image that is not there.
    """
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    body = IMAGE.sub(lambda found: f'src="{as_data(images[found[1]])}"', body)
    body = body.replace("<table>", '<div class="wide"><table>').replace(
        "</table>", "</table></div>"
    )
    contents = contents_of(body)
    body = HEADING.sub(lambda h: f'<h{h[1]} id="{anchor(h[2])}">{h[2]}</h{h[1]}>', body)
    body = body.replace("</h1>", f"</h1>\n{contents}", 1)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style>\n<main>\n{body}</main>\n"
        "</html>\n"
    )


def contents_of(body: str) -> str:
    r"""Links to the headings of a page, those of the third level beside those of the second.

    >>> contents_of("<h2>Speed</h2><h3>Growth</h3>")
    '<nav><ul>\n<li><a href="#speed">Speed</a>: <a href="#growth">Growth</a></li>\n</ul></nav>'
    """
    lines: list[list[str]] = []
    for level, heading in HEADING.findall(body):
        link = f'<a href="#{anchor(heading)}">{heading}</a>'
        if level == "2" or not lines:
            lines.append([link])
        else:
            lines[-1].append(link)
    items = [
        f"<li>{first}{': ' if others else ''}{', '.join(others)}</li>" for first, *others in lines
    ]
    return "\n".join(["<nav><ul>", *items, "</ul></nav>"]) if items else ""


def anchor(heading: str) -> str:
    """The name of a heading's place.

    >>> anchor("Learning: TextQA-v0")
    'learning-textqa-v0'
    """
    return "-".join(re.findall(r"[a-z0-9]+", heading.lower()))
