"""A reader of HTML that insists on closed tags, for the tests of reports."""

from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}


class Page(HTMLParser):
    """Tags must close in order; text by section, requests to anywhere, ids."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sections, self.requests, self.ids, self.tables = [], {}, [], [], []
        self._section, self._heading = "head", False
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action") and not value.startswith(
                ("#", "data:image/png;base64,")
            ):
                self.requests.append(value)
            if name == "id":
                self.ids.append(value)
        self._heading = tag == "h2"
        assert tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag
        self._heading = False

    def handle_data(self, text):
        if self._heading:
            self._section = text.strip()
        self.sections[self._section] = self.sections.get(self._section, "") + text
