"""The pages of a document as pictures: those of an image file, and of a PDF as it is drawn."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.documents.formats import Source
from qtforge_builtin_plugins.documents.formats.errors import damaged
from qtforge_builtin_plugins.documents.identification import image_type
from qtforge_sdk import OperationError

__all__ = ["Pages", "Picture", "image_pages", "pdf_pages"]

_MOST_SIDE: Final = 32_767  # pixels; Tesseract reads no longer side
_POINTS_PER_INCH: Final = 72
_TIFF: Final = "image/tiff"
_TIFF_WIDTH: Final = 256
_TIFF_HEIGHT: Final = 257
_TIFF_NUMBERS: Final = MappingProxyType({3: "H", 4: "I"})
_JPEG: Final = "image/jpeg"
_EXIF: Final = b"Exif\0\0"
_EXIF_MARKER: Final = 0xE1
_START_OF_SCAN: Final = 0xDA
# The segments with a frame's size, but those of arithmetic coding, which nothing decodes.
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_COLORS: Final[Mapping[int | None, str]] = MappingProxyType({
    1: "/ColorSpace /DeviceGray", 3: "/ColorSpace /DeviceRGB",
    4: "/ColorSpace /DeviceCMYK /Decode [1 0 1 0 1 0 1 0]",  # as Adobe's programs write them
})  # fmt: skip
_ORIENTATION: Final = 274
_AS_STORED: Final = 1
# EXIF 2.32, tag 274: how far a stored picture is to be turned clockwise, in degrees, after it was
# mirrored from left to right.
_TURNS: Final[Mapping[int, tuple[int, bool]]] = MappingProxyType({
    2: (0, True), 3: (180, False), 4: (180, True), 5: (270, True), 6: (90, False), 7: (90, True),
    8: (270, False),
})  # fmt: skip
_PIXELS_PER_POINT: Final = 4  # so that a page of any picture is within the limits of a PDF


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One page.

    Attributes:
        data: An image file.
        index: The page in it, from 0; None for a file that has one only.
        dpi: Its resolution; None where the file says it, or nothing does.
    """

    data: bytes
    index: int | None = None
    dpi: int | None = None


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """The pages of a document.

    Attributes:
        total: Their number in the document, at least 1.
        wanted: The numbers of those that are wanted, from 1.
        pictures: The first of those, each made when it is asked for.
    """

    total: int
    wanted: Sequence[int]
    pictures: Iterator[Picture]


def image_pages(
    source: Source, numbers: Sequence[int] = (), *, max_pages: int, max_pixels: int
) -> Pages:
    """Return the pages of an image file, whose sizes are checked.

    Nothing is decoded but a photograph that the camera notes to be turned: Tesseract does not read
    that note, so such a picture is drawn upright.

    Args:
        source: PNG, JPEG, TIFF or WebP.
        numbers: The pages that are wanted, from 1; empty for all.
        max_pages: The most pages that are returned.
        max_pixels: The most pixels that a page may have.

    Raises:
        OperationError: ``document.damaged``, ``document.too_large``.
    """
    kind = image_type(source.data)
    if kind is None:
        raise damaged(source, "it does not begin like a PNG, JPEG, TIFF or WebP file")
    sizes = _tiff_sizes(source) if kind == _TIFF else [_size(source)]
    wanted = _wanted(numbers, len(sizes))
    for number in wanted[:max_pages]:
        _check_size(source, *sizes[number - 1], max_pixels)
    return Pages(
        total=len(sizes),
        wanted=wanted,
        pictures=(
            Picture(
                data=_upright(source, kind, max_pixels), index=number - 1 if kind == _TIFF else None
            )
            for number in wanted[:max_pages]
        ),
    )


def _upright(source: Source, kind: str, max_pixels: int) -> bytes:
    """Return an image file as it is to be seen: a turned JPEG is drawn anew."""
    orientation = _orientation(source.data) if kind == _JPEG else _AS_STORED
    if orientation not in _TURNS:
        return source.data
    # As the only picture of a PDF, since the library for those decodes and turns pictures.
    from qtforge_builtin_plugins.documents.formats.pdf import open_document

    document = open_document(
        msgspec.structs.replace(source, data=_as_pdf(source, *_TURNS[orientation]))
    )
    try:
        return _drawn(source, document, 0, max_pixels, _PIXELS_PER_POINT * _POINTS_PER_INCH).data
    finally:
        document.close()


def _as_pdf(source: Source, rotation: int, is_mirrored: bool) -> bytes:
    """Return a PDF of one page with a JPEG, whose pixels are a quarter of a point."""
    width, height = _size(source)
    wide, high = width / _PIXELS_PER_POINT, height / _PIXELS_PER_POINT
    colors = _COLORS.get(_components(source.data))
    if colors is None:
        raise damaged(source, "it does not say how many colours it has")
    matrix = f"{-wide} 0 0 {high} {wide} 0" if is_mirrored else f"{wide} 0 0 {high} 0 0"
    content = f"{matrix} cm /A Do".encode()
    image = (
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8"
        f" /Filter /DCTDecode {colors}"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {wide} {high}] /Rotate {rotation}"
        " /Contents 4 0 R /Resources << /XObject << /A 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< %b /Length %d >>\nstream\n%b\nendstream"
        % (image.encode(), len(source.data), source.data),
    ]
    written = b"%PDF-1.4\n"
    places = []
    for number, each in enumerate(objects, start=1):
        places.append(b"%010d 00000 n \n" % len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    size = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, b"".join(places))
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(written))
    return written + table + end


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of a JPEG before its pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN or length < 2:
            return
        yield marker, at + 4, at + 2 + length
        at += 2 + length


def _components(data: bytes) -> int | None:
    """Return the number of colours of a JPEG: the sixth byte of its frame's segment."""
    for marker, start, end in _segments(data):
        if marker in _FRAMES and start + 6 <= min(end, len(data)):
            return data[start + 5]
    return None


def _orientation(data: bytes) -> int:
    """Return the orientation that a JPEG's EXIF data has, 1 to 8; 1 without any."""
    for marker, start, end in _segments(data):
        if marker == _EXIF_MARKER and data.startswith(_EXIF, start):
            return _first_orientation(data[start + len(_EXIF) : end])
    return _AS_STORED


def _first_orientation(exif: bytes) -> int:
    """Return the orientation in the first list of entries of EXIF data, which is a TIFF file."""
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for place in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, place)
            if tag == _ORIENTATION and kind in _TIFF_NUMBERS:
                return int(struct.unpack_from(f"{order}{_TIFF_NUMBERS[kind]}", exif, place + 8)[0])
    except struct.error:
        return _AS_STORED  # the picture itself may be whole
    return _AS_STORED


def pdf_pages(
    source: Source, numbers: Sequence[int] = (), *, max_pages: int, max_pixels: int, dpi: int
) -> Pages:
    """Return the pages of a PDF, each drawn when it is asked for.

    Args:
        source: A PDF.
        numbers: The pages that are wanted, from 1; empty for all.
        max_pages: The most pages that are drawn.
        max_pixels: The most pixels of a picture; a larger page is drawn with fewer dots per inch.
        dpi: The resolution, in dots per inch.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    # Imported here, so that an image needs no PDF library.
    from qtforge_builtin_plugins.documents.formats.pdf import open_document

    document = open_document(source)
    total = len(document)
    if total == 0:
        document.close()
        raise damaged(source, "it has no pages")

    wanted = _wanted(numbers, total)

    def drawn() -> Iterator[Picture]:
        try:
            for number in wanted[:max_pages]:
                yield _drawn(source, document, number - 1, max_pixels, dpi)
        finally:
            document.close()

    return Pages(total=total, wanted=wanted, pictures=drawn())


def _wanted(numbers: Sequence[int], total: int) -> list[int]:
    if not numbers:
        return list(range(1, total + 1))
    return [number for number in numbers if 1 <= number <= total]


def _drawn(source: Source, document: Any, number: int, max_pixels: int, dpi: int) -> Picture:
    import pypdfium2

    try:
        page = document[number]
        try:
            width, height = page.get_size()
            if width <= 0 or height <= 0:
                raise damaged(source, f"page {number + 1} has no area")
            scale = min(
                dpi / _POINTS_PER_INCH,
                (max_pixels / (width * height)) ** 0.5,
                (_MOST_SIDE - 1) / max(width, height),
            )
            bitmap = page.render(scale=scale, grayscale=True)
            try:
                data = _portable_graymap(bitmap)
            finally:
                bitmap.close()
        finally:
            page.close()
    except pypdfium2.PdfiumError as error:
        raise damaged(source, f"page {number + 1} can't be drawn: {error}") from error
    return Picture(data=data, dpi=max(1, round(scale * _POINTS_PER_INCH)))


def _portable_graymap(bitmap: Any) -> bytes:
    """Return an image file (PGM) without compression: a line of text, then a byte a pixel."""
    width, height, stride = bitmap.width, bitmap.height, bitmap.stride
    rows = memoryview(bitmap.buffer).cast("B")
    head = b"P5 %d %d 255\n" % (width, height)
    return head + b"".join(rows[row * stride : row * stride + width] for row in range(height))


def _check_size(source: Source, width: int, height: int, max_pixels: int) -> None:
    if width <= 0 or height <= 0:
        raise damaged(source, "it does not say how large it is, or has no pixels")
    if width * height > max_pixels or max(width, height) > _MOST_SIDE:
        raise OperationError(
            "document.too_large", f"the picture {source.name} is too large",
            f"it has {width} x {height} pixels; {max_pixels} are allowed, and {_MOST_SIDE} on a"
            " side",
            "make it smaller, or raise max_pixels in the configuration of document-ocr",
        )  # fmt: skip


def _size(source: Source) -> tuple[int, int]:
    import imagesize

    try:
        width, height = imagesize.get(io.BytesIO(source.data), exif_rotation=False)
    except (ValueError, TypeError, struct.error, OverflowError, IndexError) as error:
        raise damaged(source, f"its size can't be read: {error}") from error
    return int(width), int(height)


def _tiff_sizes(source: Source) -> list[tuple[int, int]]:
    """Return width and height of each page; imagesize reads those of the first one only."""
    data = source.data
    order = "<" if data[:2] == b"II" else ">"
    sizes: list[tuple[int, int]] = []
    seen: set[int] = set()
    entries = 0
    try:
        (offset,) = struct.unpack_from(f"{order}I", data, 4)
        while offset and offset not in seen:
            seen.add(offset)
            (count,) = struct.unpack_from(f"{order}H", data, offset)
            entries += count
            if 12 * entries > len(data):  # lists within each other may take hours to read
                raise damaged(source, "its lists of entries overlap")
            found = {_TIFF_WIDTH: 0, _TIFF_HEIGHT: 0}
            for place in range(offset + 2, offset + 2 + 12 * count, 12):
                tag, kind = struct.unpack_from(f"{order}HH", data, place)
                if tag in found and kind in _TIFF_NUMBERS:
                    (found[tag],) = struct.unpack_from(
                        f"{order}{_TIFF_NUMBERS[kind]}", data, place + 8
                    )
            sizes.append((found[_TIFF_WIDTH], found[_TIFF_HEIGHT]))
            (offset,) = struct.unpack_from(f"{order}I", data, offset + 2 + 12 * count)
    except struct.error as error:
        raise damaged(source, "its list of pages is cut off") from error
    if not sizes:
        raise damaged(source, "it has no pages")
    return sizes
