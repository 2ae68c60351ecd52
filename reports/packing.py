"""Compressed parts of the page: HTML goes in, base64 of gzip comes out, which the page's script unpacks."""

import base64
import math
import zlib
from collections.abc import Iterable

GZIP = 31
"""What `zlib` takes for "a gzip stream": 15 bits of window, and 16 for the header."""


HELD_BACK = 65_536
"""About how many bytes, packed, a compressor may still hold after it has been given a piece."""


def pack(html: str) -> str:
    """Return a text packed."""
    packed, _ = pack_while_room([html], math.inf)
    return packed


def pack_while_room(pieces: Iterable[str], room: float) -> tuple[str, int]:
    """Return as many pieces, packed, as fit on ``room`` bytes but for some that the compressor may need, and their number."""
    compressor = zlib.compressobj(level=9, wbits=GZIP)
    chunks, size, count = [], 0, 0
    for piece in pieces:
        chunks.append(compressor.compress(piece.encode()))
        size += len(chunks[-1])
        count += 1
        if size * 4 / 3 > room - HELD_BACK:
            break
    return base64.b64encode(b"".join([*chunks, compressor.flush()])).decode(), count
