"""HTML as text: blocks as lines, without scripts, styles and navigation.

The standard library's parser, because what is wanted is plain: trafilatura and its like guess which part of a page is
the article, which in a clinical note loses lines.
"""

from __future__ import annotations

from html.parser import HTMLParser

from rag.corpus.text import on_one_line, raised

_SKIPPED = frozenset(("script", "style", "head", "nav", "footer", "aside", "noscript", "template", "svg", "form"))
_BLOCKS = frozenset(
    ("p", "div", "br", "li", "tr", "table", "section", "article", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "pre")
)
_CELLS = frozenset(("td", "th"))


def text_of_html(html: str) -> str:
    """The words of a page or a fragment, one block a line, table cells parted by bars."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (on_one_line(line).strip(" |") for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipping: list[str] = []
        self._raises = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _SKIPPED:
            self._skipping.append(tag)
        self._raises = tag == "sup"
        self.parts.append("\n" if tag in _BLOCKS else " | " if tag in _CELLS else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            while self._skipping.pop() != tag:
                pass
        self._raises = False
        self.parts.append("\n" if tag in _BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.parts.append(raised("".join(self.parts[-3:]), data) if self._raises else data.replace("\n", " "))
