"""Packing: what was packed comes out again, and no more is packed than there is room for."""

import hashlib

from reports.packing import pack, pack_while_room
from tests.reports.page import unpack

PIECES = [f"<p>{hashlib.sha256(bytes([number % 256, number // 256])).hexdigest()}</p>" for number in range(20_000)]


def test_a_text_comes_out_as_it_went_in():
    text = "<p>a \u00d7 b & c</p>" * 100
    assert unpack(pack(text)) == text
    assert len(pack(text)) < len(text) / 10


def test_packing_is_the_same_each_time():
    assert pack("text") == pack("text")
    assert pack_while_room(PIECES, 10**4) == pack_while_room(PIECES, 10**4)


def test_all_pieces_are_packed_where_there_is_room():
    packed, count = pack_while_room(PIECES, 10**8)
    assert count == len(PIECES) and unpack(packed) == "".join(PIECES)


def test_the_first_pieces_are_packed_where_there_is_less():
    packed, count = pack_while_room(PIECES, 200_000)
    assert 0 < count < len(PIECES) and unpack(packed) == "".join(PIECES[:count])
    assert 100_000 < len(packed) < 200_000
