"""PDF files for tests, written line by line."""

from __future__ import annotations

from pathlib import Path


def shown(x: float, y: float, text: str, size: float = 10, turn: str = "1 0 0 1") -> str:
    """Text at a place, as a page's content says it; ``turn`` is the first part of its matrix."""
    return f"BT /F1 {size} Tf {turn} {x} {y} Tm ({text}) Tj ET\n"


def pdf_of_contents(path: Path, contents: list[str]) -> Path:
    """A PDF file of pages of 600 x 800 points that show these contents."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import DecodedStreamObject, NameObject

    writer = PdfWriter(clone_from=PdfReader(pdf_of(path, [["x"] for _ in contents])))
    for page, content in zip(writer.pages, contents, strict=True):
        stream = DecodedStreamObject()
        stream.set_data(content.encode("cp1252"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    writer.write(path)
    return path


def pdf_of(path: Path, pages: list[list[str]], *, picture: int = 0) -> Path:
    """A PDF file with these lines on its pages, and so many pages that are only a picture."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
        }
    )
    for lines in [*pages, *[[]] * picture]:
        page = writer.add_blank_page(600, 800)
        shown = "".join(f"BT /F1 12 Tf 50 {760 - 15 * n} Td ({line}) Tj ET\n" for n, line in enumerate(lines))
        content = DecodedStreamObject()
        content.set_data(shown.encode("cp1252"))
        page[NameObject("/Contents")] = writer._add_object(content)
        resources = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})})
        if not lines:
            image = DecodedStreamObject()
            image.set_data(b"\0")
            sizes = {"/Width": 1, "/Height": 1, "/BitsPerComponent": 8}
            image.update({NameObject("/Type"): NameObject("/XObject"), NameObject("/Subtype"): NameObject("/Image")})
            image.update({NameObject(key): NumberObject(n) for key, n in sizes.items()})
            image[NameObject("/ColorSpace")] = NameObject("/DeviceGray")
            content.set_data(b"q 600 0 0 800 0 0 cm /I Do Q")
            resources[NameObject("/XObject")] = DictionaryObject({NameObject("/I"): writer._add_object(image)})
        page[NameObject("/Resources")] = resources
    writer.write(path)
    return path
