"""The sizes of pictures are checked before anything decodes them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageOps

from qtforge_builtin_plugins.documents.formats import Source
from qtforge_builtin_plugins.documents.pictures import image_pages, pdf_pages
from qtforge_sdk import OperationError

MOST = 40_000_000


def source(data: bytes) -> Source:
    return Source(
        name="a.png",
        data=data,
        encoding=None,
        max_unpacked_bytes=1 << 20,
        progress=lambda done, total: None,
    )


def png(width: int, height: int) -> bytes:
    """Return a PNG that says to have a size, with a row of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    begin = b"\x89PNG\r\n\x1a\n"
    return begin + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(*sizes: tuple[int, int], order: str = "<", loop: bool = False) -> bytes:
    """Return the list of pages of a TIFF, without their data."""
    data = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    for number, (width, height) in enumerate(sizes, start=1):
        offset = len(data)
        is_last = number == len(sizes)
        data += struct.pack(f"{order}H", 2)
        data += struct.pack(f"{order}HHII", 256, 4, 1, width)
        data += struct.pack(f"{order}HHII", 257, 4, 1, height)
        data += struct.pack(f"{order}I", (8 if loop else 0) if is_last else offset + 30)
    return data


def check(data: bytes, max_pages: int = 50) -> int:
    return image_pages(source(data), max_pages=max_pages, max_pixels=MOST).total


@pytest.mark.parametrize(
    "data",
    [
        png(30_000, 30_000),
        png(40_000, 10),
        png(2**31 - 1, 2**31 - 1),
        tiff((100, 100), (100_000, 100_000)),
        tiff((100_000, 100_000), order=">"),
    ],
)
def test_one_that_unpacks_to_too_many_pixels_is_refused(data: bytes) -> None:
    with pytest.raises(OperationError) as caught:
        check(data)
    assert caught.value.code == "document.too_large"
    assert "raise max_pixels" in caught.value.fix


@pytest.mark.parametrize(
    "data",
    [
        png(0, 100),
        png(100, 0),
        tiff((0, 100)),
        tiff((100, 100), (100, 0)),
        b"\x89PNG\r\n\x1a\n",
        png(100, 100)[:18],
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        b"RIFF\x10\0\0\0WEBP",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\0\0\0\0",
        tiff((100, 100))[:20],
        b"",
        b"/etc/hostname\n",
    ],
)
def test_one_without_pixels_or_with_half_a_header_is_damaged(data: bytes) -> None:
    with pytest.raises(OperationError) as caught:
        check(data)
    assert caught.value.code == "document.damaged"


def test_the_pages_of_a_tiff_are_counted_once_each() -> None:
    assert check(tiff((10, 20), (30, 40), (50, 60))) == 3
    assert check(tiff((10, 20), (30, 40), loop=True)) == 2
    pages = image_pages(source(tiff((10, 20), (30, 40))), max_pages=1, max_pixels=MOST)
    assert (pages.total, [each.index for each in pages.pictures]) == (2, [0])


def test_a_tiff_whose_pages_lie_within_each_other_is_damaged() -> None:
    # Each list of 1,000 entries begins four bytes after the one before.
    data = bytearray(b"II*\0\x08\0\0\0" + bytes(40_000))
    for start in range(8, 8 + 4 * 1000, 4):
        struct.pack_into("<H", data, start, 1000)
        struct.pack_into("<I", data, start + 2 + 12 * 1000, start + 4)
    with pytest.raises(OperationError, match="overlap"):
        check(bytes(data))


def test_a_page_of_a_pdf_is_a_picture_of_its_size(make_pdf: Any) -> None:
    pages = pdf_pages(source(make_pdf(["a", "b"])), max_pages=5, max_pixels=MOST, dpi=72)
    assert pages.total == 2
    first, _ = list(pages.pictures)
    with Image.open(io.BytesIO(first.data)) as image:
        assert image.size == (596, 842)
        darkest, lightest = image.convert("L").getextrema()
        assert isinstance(darkest, int)
        assert darkest < 64
        assert lightest == 255
    assert first.dpi == 72
    (small,) = pdf_pages(source(make_pdf(["a"])), max_pages=5, max_pixels=20_000, dpi=72).pictures
    with Image.open(io.BytesIO(small.data)) as image:
        assert image.width * image.height <= 20_500
    assert small.dpi is not None
    assert small.dpi < 72


@pytest.mark.parametrize("content", [b"%PDF-1.7\n%%EOF", b"%PDF-1.7 cut off"])
def test_a_damaged_pdf_is_an_error(content: bytes) -> None:
    with pytest.raises(OperationError) as caught:
        pdf_pages(source(content), max_pages=5, max_pixels=MOST, dpi=72)
    assert caught.value.code == "document.damaged"


def test_an_encrypted_pdf_is_an_error(make_pdf: Any) -> None:
    with pytest.raises(OperationError) as caught:
        pdf_pages(source(make_pdf(["a"], password="x")), max_pages=5, max_pixels=MOST, dpi=72)
    assert caught.value.code == "document.encrypted"


def photograph(orientation: int, size: tuple[int, int] = (121, 83)) -> bytes:
    """Return a JPEG with a dark corner at its upper left, and a note how it is to be turned."""
    picture = Image.new("L", size, 255)
    picture.paste(0, (0, 0, 40, 24))
    exif = Image.Exif()
    exif[274] = orientation
    data = io.BytesIO()
    picture.save(data, "JPEG", exif=exif, quality=95)
    return data.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_notes(orientation: int) -> None:
    data = photograph(orientation)
    pages = image_pages(source(data), max_pages=1, max_pixels=MOST)
    upright = Image.open(io.BytesIO(next(pages.pictures).data)).convert("L")
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright.size == wanted.size
    differences = zip(upright.tobytes(), wanted.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in differences) < 30


@pytest.mark.parametrize("orientation", [0, 1, 9, 65_535])
def test_a_photograph_that_is_not_turned_is_left_as_it_is(orientation: int) -> None:
    given = source(photograph(orientation))
    pages = image_pages(given, max_pages=1, max_pixels=MOST)
    assert next(pages.pictures).data is given.data


def test_a_note_that_is_cut_off_turns_nothing() -> None:
    data = photograph(6)
    at = data.index(b"Exif\0\0")
    given = source(data[: at + 10] + b"\xff" * 8 + data[at + 18 :])
    pages = image_pages(given, max_pages=1, max_pixels=MOST)
    assert next(pages.pictures).data is given.data


def test_a_turned_photograph_with_a_frame_that_nothing_decodes_is_damaged() -> None:
    data = photograph(6)
    at = data.index(b"\xff\xc0")
    pages = image_pages(
        source(data[:at] + b"\xff\xc9" + data[at + 2 :]), max_pages=1, max_pixels=MOST
    )
    with pytest.raises(OperationError) as caught:
        next(pages.pictures)
    assert caught.value.code == "document.damaged"


@pytest.mark.parametrize("left", [700, 800, 1_000])
def test_a_turned_photograph_that_is_cut_off_is_drawn_as_far_as_it_goes(left: int) -> None:
    pages = image_pages(source(photograph(6)[:left]), max_pages=1, max_pixels=MOST)
    assert Image.open(io.BytesIO(next(pages.pictures).data)).size == (83, 121)
