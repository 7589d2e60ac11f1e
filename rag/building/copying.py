"""A copy of a folder without identities: ``rag deidentify``. The original is only read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rag.corpus.dicom import REPORTS, is_dicom_head, read_dataset, unquoted
from rag.corpus.dicom_pixels import blacken
from rag.corpus.dicom_profile import Profile
from rag.corpus.files import File, files_of
from rag.corpus.images import load_image
from rag.corpus.ocr import burnt_in, need_ocr
from rag.corpus.pseudonyms import pseudonym
from rag.corpus.quarantine import Foreign, Quarantined
from rag.corpus.readers import CERTAIN
from rag.corpus.readers.images import recognise_image
from rag.corpus.scrub import Scrubber
from rag.corpus.text import bounded, decode_any
from rag.errors import InputError, RagError
from rag.progress import Progress, Silent

MAX_TEXT_BYTES = 8_000_000
_TEXTS = (".txt", ".md")


@dataclass
class CopyReport:
    """What was copied, what was done to it, and what was not copied and why."""

    source: str
    target: str
    images: int = 0
    texts: int = 0
    blackened: int = 0  # lines of text in pictures
    header: dict[str, int] = field(default_factory=dict)  # elements of DICOM headers, by what became of them
    identifiers: dict[str, int] = field(default_factory=dict)  # in texts, by kind
    files: dict[str, str] = field(default_factory=dict)  # copies by name, and what they were called
    foreign: list[Foreign] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)


def copy_without_identities(
    source: Path, target: Path, key: str, scrubber: Scrubber, progress: Progress | None = None, *, pixels: bool = False
) -> CopyReport:
    """Copy DICOM images by the basic profile, and plain texts without what the scrubber finds, under new names.

    Names of files and folders can be names of people, too: copies are called by a keyed hash of theirs, in one folder.
    With ``pixels``, text burnt into images is found by OCR and blackened, and pictures that are not DICOM are copied,
    too, without their metadata. OCR misses some text: look before you share.

    Whatever else there is, structured reports and encapsulated documents among it, is listed and not copied.

    >>> copy_without_identities(Path("export"), Path("clean"), key, Scrubber("mask")).images   # doctest: +SKIP

    Raises:
        InputError: there is no source, or the target is not a new or empty folder outside it.
    """
    if not source.exists():
        raise InputError(f"There is no file or folder {str(source)!r}.")
    root = source.resolve()
    if target.resolve().is_relative_to(root) or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise InputError(f"The copy needs a new or empty folder outside of the source; {str(target)!r} is none.")
    profile, report = Profile(key), CopyReport(str(source), str(target))
    target.mkdir(parents=True, exist_ok=True)
    if pixels:
        need_ocr()
    advance = (progress or Silent()).stage(f"copying {source.name}")
    for file in files_of(source):
        advance(1)
        if isinstance(file, Quarantined):
            report.quarantined.append(file)
            continue
        name = pseudonym("file", file.name, key)
        try:
            _copy(file, target / name, profile, scrubber, report, pixels)
        except InputError as error:
            report.quarantined.append(Quarantined(str(source), file.name, str(error)))
        except RagError:
            raise
        except Exception as error:  # whatever a damaged file makes a decoder raise; its message could quote the file
            reason = f"It is damaged ({type(error).__name__}); copy it again."
            report.quarantined.append(Quarantined(str(source), file.name, reason))
    return report


def _copy(file: File, target: Path, profile: Profile, scrubber: Scrubber, report: CopyReport, pixels: bool) -> None:
    if is_dicom_head(file.head):
        if file.path.name.upper() == "DICOMDIR":
            report.foreign.append(Foreign(file.name, file.suffix, "a directory of DICOM files, which names patients"))
            return
        with unquoted():
            dataset = read_dataset(file.path)
            if str(dataset.get("SOPClassUID") or "").startswith(REPORTS) or "PixelData" not in dataset:
                reason = "a DICOM file without an image: nothing of its content would be left"
                report.foreign.append(Foreign(file.name, file.suffix, reason))
                return
            if pixels:
                seen = burnt_in(load_image(file.path))
                blacken(dataset, [one.box for one in seen])
                report.blackened += len(seen)
            done = profile.apply(dataset, pixels_cleaned=pixels)
            path = target.with_suffix(".dcm")
            dataset.save_as(path, enforce_file_format=True)
        report.images += 1
        report.header = dict(Counter(report.header) + done)
    elif pixels and recognise_image(file) == CERTAIN:
        picture = load_image(file.path)
        seen = burnt_in(picture)
        for x0, y0, x1, y1 in (one.box for one in seen):
            picture.paste((0, 0, 0), (round(x0), round(y0), round(x1), round(y1)))
        path = target.with_suffix(".png")
        picture.save(path)
        report.images += 1
        report.blackened += len(seen)
    elif file.suffix in _TEXTS and file.is_text:
        text = bounded(decode_any(file.read(MAX_TEXT_BYTES))[0])
        masked, found = scrubber.mask_text(text)
        path = target.with_suffix(file.suffix)
        path.write_text(masked, encoding="utf-8")
        report.texts += 1
        report.identifiers = dict(Counter(report.identifiers) + found)
    else:
        report.foreign.append(Foreign(file.name, file.suffix, file.kind or "neither a DICOM image nor a plain text"))
        return
    report.files[path.name] = file.name
