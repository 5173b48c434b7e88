"""Parse a report's HTML without a browser."""

from html.parser import HTMLParser


class ParsedReport(HTMLParser):
    """A parsed report: tables by caption, headings, text, and elements with attributes."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.titles, self.elements, self.texts = {}, [], [], []
        self._rows, self._into = [], None
        self.feed(html)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def table(self, begin):
        """Return the rows of the one table whose caption starts so, headings first."""
        (result,) = (rows for caption, rows in self.tables.items() if caption.startswith(begin))
        return result

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        if tag in ("td", "th", "caption", "h2", "style"):
            self._into = tag

    def handle_endtag(self, tag):
        if tag == self._into:
            self._into = None

    def handle_data(self, data):
        if self._into == "style":
            return
        self.texts.append(data)
        if self._into in ("td", "th"):
            self._rows[-1][-1] += data
        elif self._into == "caption":
            self.tables[data] = self._rows
        elif self._into == "h2":
            self.titles.append(data)


def report(folder):
    """Parse the report in a model's folder."""
    return ParsedReport((folder / "report.html").read_text(encoding="utf-8"))
