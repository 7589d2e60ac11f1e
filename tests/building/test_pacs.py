"""An index follows a real PACS: Orthanc, started here on loopback. Without one these tests skip, and say so."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from rag import Index, Settings
from rag.building.follow import follow
from rag.building.identity import salt_of
from rag.corpus.pacs import Mirror, Pacs
from rag.corpus.pseudonyms import pseudonym
from rag.errors import InputError, StorageError

STUDIES, IMAGES = 17, 3  # 51 images
UID = "1.2.826.0.1.3680043.8.498"


def image(study: int, number: int, *, patient: str | None = None, grey: int | None = None) -> bytes:
    """A small picture made up here: a square on noise."""
    pixels = np.random.default_rng(study * 10 + number).integers(0, 60, (32, 32)).astype(np.uint8)
    pixels[8:20, 8 : 12 + number] = 200 if grey is None else grey
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{study}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.{study}", f"{UID}.{study}.1"
    ds.PatientID, ds.PatientName = patient or f"P{study // 2}", f"Made^Up{study // 2}"
    ds.Modality, ds.StudyDate, ds.InstanceNumber = "CR", "20250101", number
    ds.BodyPartExamined = "CHEST"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 32, 32, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", pixels.tobytes()
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


class Orthanc:
    """A PACS of our own."""

    def __init__(self, root: str) -> None:
        self.root = root

    @property
    def pacs(self) -> Pacs:
        return Pacs(f"{self.root}/dicom-web")

    def store(self, content: bytes) -> str:
        reply = httpx.post(f"{self.root}/instances", content=content, timeout=30).raise_for_status().json()
        return str(reply["ParentStudy"])

    def delete(self, study: str) -> None:
        httpx.delete(f"{self.root}/studies/{study}", timeout=30).raise_for_status()


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc")
    plugins = sorted(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so"))
    if program is None or not plugins:
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    with socket.socket() as web, socket.socket() as dicom:
        web.bind(("127.0.0.1", 0))
        dicom.bind(("127.0.0.1", 0))
        ports = web.getsockname()[1], dicom.getsockname()[1]
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
        "HttpPort": ports[0], "DicomPort": ports[1], "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "OverwriteInstances": True, "Plugins": [str(plugins[0])], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("w") as log:
        process = subprocess.Popen([program, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    root = f"http://127.0.0.1:{ports[0]}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{root}/dicom-web/studies", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, (tmp_path / "orthanc.log").read_text()
                time.sleep(0.1)
        yield Orthanc(root)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    fakes = {"encoders": {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}}
    return Index.create(tmp_path / "mine", Settings.model_validate(fakes))


def images(index: Index) -> dict[str, str]:
    with index.store.snapshot() as snapshot:
        return {d.id: d.sha256 for d in snapshot.documents("image")}


def test_what_is_added_corrected_and_deleted_there_is_so_here(orthanc: Orthanc, index: Index) -> None:
    studies = [[orthanc.store(image(s, n)) for n in range(IMAGES)][0] for s in range(STUDIES)]
    first = follow(index, orthanc.pacs)
    assert (len(first.pulled.added), first.pulled.instances) == (STUDIES, STUDIES * IMAGES)
    assert first.ingest is not None and first.ingest.added == len(images(index)) == STUDIES * IMAGES
    with index.store.snapshot() as snapshot:
        documents = snapshot.documents("image")
    assert len({d.case_id for d in documents}) == STUDIES
    assert len({d.group_id for d in documents}) == (STUDIES + 1) // 2, "two studies of one patient are one group"
    assert not any(name in str(d.model_dump()) for d in documents for name in ("Made", "P0'", UID))
    assert all(d.id.startswith(f"{d.case_id}/image-") for d in documents)

    quiet = follow(index, orthanc.pacs)
    assert (quiet.pulled.instances, quiet.ingest, index.version) == (0, None, 1)

    before = images(index)
    orthanc.delete(studies[3])
    orthanc.store(image(5, 1, grey=120))  # the same instance, other pixels: no word of its metadata changes
    orthanc.delete(studies[7])  # filed under the wrong patient: filed anew, with the same UIDs
    for n in range(IMAGES):
        orthanc.store(image(7, n, patient="P-other"))
    orthanc.store(image(STUDIES, 0))
    after = follow(index, orthanc.pacs)
    assert after.pulled.withdrawn == [f"{UID}.3"]
    assert sorted(after.pulled.corrected) == [f"{UID}.5", f"{UID}.7"]
    assert f"{UID}.{STUDIES}" in after.pulled.added
    now = images(index)
    name = partial(pseudonym, salt=salt_of(index.store))
    assert not any(one.startswith(name("study", f"{UID}.3")) for one in now)
    assert after.ingest is not None and len(after.ingest.left) == IMAGES
    changed = {one for one in now if one in before and now[one] != before[one]}
    assert f"{name('study', f'{UID}.5')}/{name('image', f'{UID}.5.1.1')}:image" in changed
    assert index.store.snapshot(1).counts() != index.store.snapshot().counts(), (
        "the earlier version keeps what has left"
    )
    gone = index.verify().problems
    assert gone and all("the image of document" in problem for problem in gone), "earlier pixels left with their files"
    index.compact(forget=True)
    assert index.verify().sound


def test_an_index_that_called_its_images_by_their_uids_goes_on_doing_so(orthanc: Orthanc, index: Index) -> None:
    study = orthanc.store(image(0, 0))
    orthanc.store(image(1, 0))
    folder = index.path / "pacs" / orthanc.pacs.name
    folder.mkdir(parents=True)
    earlier = {"url": orthanc.pacs.url, "filters": {}, "seen": None, "pending": False, "studies": {}}
    (folder / "mirror.json").write_text(json.dumps(earlier))
    follow(index, orthanc.pacs)
    assert images(index).keys() == {f"{UID}.{n}/{UID}.{n}.1.0:image" for n in range(2)}
    orthanc.delete(study)
    follow(index, orthanc.pacs)
    assert images(index).keys() == {f"{UID}.1/{UID}.1.1.0:image"}


def test_a_mirror_is_one_index_s(orthanc: Orthanc, index: Index, tmp_path: Path) -> None:
    orthanc.store(image(0, 0))
    follow(index, orthanc.pacs, tmp_path / "mirror")
    with pytest.raises(InputError, match="mirror of another index"):
        follow(Index.create(tmp_path / "other", index.settings), orthanc.pacs, tmp_path / "mirror")


def test_a_look_that_was_cut_off_goes_on(
    orthanc: Orthanc, index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for s in range(3):
        orthanc.store(image(s, 0))
    fetched = Mirror._fetch

    def fails_at_the_last(self: Mirror, client: object, uid: str, feed: object, done: object) -> None:
        if len(self.studies) == 2:
            raise KeyboardInterrupt
        fetched(self, client, uid, feed, done)  # type: ignore[arg-type]

    monkeypatch.setattr(Mirror, "_fetch", fails_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        follow(index, orthanc.pacs)
    assert index.version == 0
    monkeypatch.undo()
    again = follow(index, orthanc.pacs)
    assert again.pulled.instances == 1, "two were fetched before"
    assert len(images(index)) == 3


def test_all_that_was_there_may_leave_but_not_by_a_slip(orthanc: Orthanc, index: Index) -> None:
    studies = [orthanc.store(image(s, 0)) for s in range(12)]
    follow(index, orthanc.pacs)
    for study in studies:
        orthanc.delete(study)
    with pytest.raises(InputError, match="no longer lists 12 of 12 studies"):
        follow(index, orthanc.pacs)
    assert len(images(index)) == 12
    emptied = follow(index, orthanc.pacs, allow_bulk=True)
    assert len(emptied.pulled.withdrawn) == 12
    assert images(index) == {}


def test_a_study_that_is_listed_and_not_given_stops_no_other(orthanc: Orthanc, index: Index) -> None:
    orthanc.store(image(0, 0))
    orthanc.store(image(1, 0))
    orthanc.store(image(1, 1, patient="P-twice"))  # one study of two patients: its server gives neither
    found = follow(index, orthanc.pacs)
    assert found.pulled.added == [f"{UID}.0"]
    assert [aside.record for aside in found.pulled.refused] == [f"{UID}.1"]


def test_only_what_is_wanted_is_fetched(orthanc: Orthanc, index: Index) -> None:
    for s in range(4):
        orthanc.store(image(s, 0))
    some = Pacs(orthanc.pacs.url, filters={"PatientID": "P1"})
    assert sorted(follow(index, some).pulled.added) == [f"{UID}.2", f"{UID}.3"]
    with pytest.raises(InputError, match="give .* another folder"):
        follow(index, orthanc.pacs)


def test_an_address_that_is_no_pacs_is_one_sentence(orthanc: Orthanc, index: Index) -> None:
    with pytest.raises(InputError, match="does not answer as DICOMweb does"):
        follow(index, Pacs(f"{orthanc.root}/nothing-here"))
    with pytest.raises(StorageError, match="does not answer"):
        Mirror.open(index.path / "x", Pacs("http://127.0.0.1:9/dicom-web"), "key").pull()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc", "is not the address"),
        ("pacs.example", "is not the address"),
        ("https://me:secret@pacs.example/", "is not the address"),
        ("http://pacs.example/dicom-web", "in clear"),
    ],
)
def test_what_is_refused_before_anything_is_sent(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Pacs(url, token="t")
    assert "t'" not in repr(Pacs("https://pacs.example/dicom-web", token="t"))
