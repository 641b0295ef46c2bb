"""Pages of HTML, parsed and checked: self-contained and well-formed.  Not a test."""

import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
from PIL import Image

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks what must hold for every page, and keeps what tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.ids, self.links, self.texts = [], [], [], []
        self.images, self.cells, self.tags = [], [], []
        self.feed(text)
        self.close()
        assert self.stack == [], f"not closed: {self.stack}"
        assert len(self.ids) == len(set(self.ids)), "an id is there twice"
        assert set(self.links) <= set(self.ids), "a reference leads nowhere"
        assert not set(self.tags) & {"script", "link", "iframe", "object", "base"}
        assert not re.search(r"url\((?!#)|@import", text), "the style loads something"
        assert not re.search(r"#fe01", text), "a stand-in colour was left"

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.stack.append(tag)
        if tag in ("tr", "td"):
            self.cells.append([] if tag == "tr" else "")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "data", "poster", "srcset"):
                assert (tag, value[:22]) == ("img", "data:image/png;base64,")
                self.images.append(np.asarray(Image.open(BytesIO(b64decode(value[22:])))))
            elif name in ("href", "xlink:href"):
                assert value.startswith("#"), value
                self.links.append(value[1:])
            elif name == "id":
                self.ids.append(value)
            assert not name.startswith("on"), "a script"
            self.links += re.findall(r"url\(#([^)]+)\)", value or "")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "\n".join(self.texts)
