"""The page as a browser has it: parsed, and with what is packed in it unpacked."""

import base64
import gzip
import re
from html.parser import HTMLParser

VOID = {"meta", "input", "wbr", "br", "hr", "img", "link"}


def unpack(packed: str) -> str:
    """Return what was packed, as the script of the page does."""
    return gzip.decompress(base64.b64decode(packed)).decode()


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, the text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    @property
    def text(self) -> str:
        return " ".join("".join(text for tag, texts in self.texts.items() for text in texts if tag != "script").split())


def unpacked(html: str) -> str:
    """Return the page as it is when its script has unpacked everything."""
    for into, packed in re.findall(r'<template data-into="([\w-]+)">([^<]*)</template>', html):
        head, _, rest = html.partition(f'<div id="{into}">')
        _, _, tail = rest.partition(f'<template data-into="{into}">{packed}</template>')
        html = f'{head}<div id="{into}">{unpack(packed)}</div>{tail}'
    return html
