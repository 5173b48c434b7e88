"""What a report says, read off its HTML without a browser."""

from html.parser import HTMLParser


class Said(HTMLParser):
    """Tables by caption, headings, text, and every element with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.titles, self.elements, self.texts = {}, [], [], []
        self._rows, self._into = [], None
        self.feed(html)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def table(self, begin):
        """The rows of the only table whose caption begins so, the headings first."""
        (found,) = (rows for caption, rows in self.tables.items() if caption.startswith(begin))
        return found

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
    """The report in the folder of a model."""
    return Said((folder / "report.html").read_text(encoding="utf-8"))
