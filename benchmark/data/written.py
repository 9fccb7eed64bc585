"""Label maps as files on the grid of their scan: NIfTI, NRRD and DICOM SEG, by the name's end."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.readers.contents import contents
from benchmark.data.readers.dicom import quiet_pydicom
from benchmark.data.scan import Scan, label_bytes
from benchmark.data.volume import Label, from_canonical
from benchmark.errors import BadInput
from benchmark.plan.organs import meant

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".dcm")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# What a SEG takes over of its CT and what names a person there; UIDs alone stay.
PERSONAL = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
# SNOMED CT's codes; another organ goes by a code of our own.
CODES = {
    "liver": ("10200004", "Liver"),
    "left_kidney": ("18639004", "Left kidney"),
    "right_kidney": ("9846003", "Right kidney"),
    "kidneys": ("64033007", "Kidney"),
    "spleen": ("78961009", "Spleen"),
    "pancreas": ("15776009", "Pancreas"),
    "gallbladder": ("28231008", "Gallbladder"),
    "stomach": ("69695003", "Stomach"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "aorta": ("15825003", "Aorta"),
}


def ending_of(path: Path) -> str:
    """Return the ending of a label map's name, "" for one that cannot be written."""
    found = next((e for e in ENDINGS if path.name.lower().endswith(e)), "")
    return "" if path.name == found else found


def check_form(ending: str, image: Path) -> None:
    """Raise BadInput where a label map of this form cannot be written for that image."""
    if ending != ".dcm":
        return
    if not image.is_dir() or not contents(image).slices:
        raise BadInput(
            f"{image.name} is not a DICOM series: a DICOM SEG belongs to one, write .nii.gz"
        )
    _highdicom()


def label_file(
    label_ZYX: Label, scan: Scan, image: Path, ending: str, *, organs: Sequence[str], note: str
) -> bytes:
    """Return a label map as a file on the scan's own grid; k + 1 is the k-th of `organs`.

    `note` says what made it. Nothing in it names a person. Raises BadInput as `check_form` does.
    """
    if ending == ".nrrd":
        return _nrrd(label_ZYX, scan, note)
    if ending == ".dcm":
        return _segmentation(label_ZYX, scan, image, organs, note)
    return label_bytes(label_ZYX, scan, packed=ending == ".nii.gz", note=note)


def _nrrd(label_ZYX: Label, scan: Scan, note: str) -> bytes:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(from_canonical(label_ZYX, scan.geometry).T)
    lps = RAS_TO_LPS @ np.asarray(scan.geometry.affine)
    steps_mm = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(steps_mm.tolist())
    image.SetDirection((lps[:3, :3] / steps_mm).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetMetaData("made_by", note)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "label.nrrd")
        SimpleITK.WriteImage(image, str(path), useCompression=True)
        return path.read_bytes()


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError:
        what = "a DICOM SEG is written by highdicom, which is not installed"
        raise BadInput(f"{what}: pip install 'beyond-loss[dicom]', or write .nii.gz") from None
    return highdicom


def _segmentation(
    label_ZYX: Label, scan: Scan, image: Path, organs: Sequence[str], note: str
) -> bytes:
    kji = np.ascontiguousarray(from_canonical(label_ZYX, scan.geometry).T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they may quote the header, as an error's text may
        try:
            return _content(_made(kji, _slices(image, scan), organs, note))
        except BadInput:
            raise
        except Exception as error:
            what = f"no DICOM SEG can be made of the headers of {image.name}"
            raise BadInput(f"{what} ({type(error).__name__}): write .nii.gz") from None


def _made(kji: NDArray[np.uint8], slices: list[Any], organs: Sequence[str], note: str) -> Any:
    from pydicom.uid import generate_uid

    hd = _highdicom()
    return hd.seg.Segmentation(
        source_images=slices,
        pixel_array=kji,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(hd, n, organ) for n, organ in enumerate(organs, start=1)],
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="bench",
        manufacturer_model_name="beyond-loss",
        software_versions="1",
        device_serial_number="0",
        series_description=note[:64],
        omit_empty_frames=bool(kji.any()),
    )


def _content(made: Any) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    made.save_as(stream)
    return stream.getvalue()


def _segment(hd: Any, number: int, organ: str) -> Any:
    from pydicom.sr.codedict import codes

    code, meaning = CODES.get(meant(organ), (organ[:16].upper(), organ))
    scheme = "SCT" if meant(organ) in CODES else "99BENCH"
    family = codes.cid7162.ArtificialIntelligence
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=organ[:64],
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=hd.sr.CodedConcept(code, scheme, meaning[:64]),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="bench predict", version="1", family=family
        ),
    )


def _slices(image: Path, scan: Scan) -> list[Any]:
    """The headers of the scan's slices in their order along the scan, without a person's data."""
    inverse = np.linalg.inv(RAS_TO_LPS @ np.asarray(scan.geometry.affine))
    found: dict[int, Any] = {}
    for entry in contents(image).slices:
        header = quiet_pydicom().dcmread(entry.path, stop_before_pixels=True, force=True)
        position = header.get("ImagePositionPatient")
        if position is None or "Rows" not in header:
            continue
        k: NDArray[np.float64] = inverse @ np.array([*map(float, position), 1.0])
        if np.abs(k[:3] - [0, 0, round(k[2])]).max() < 0.5 and "LOCALIZER" not in header.get(
            "ImageType", ()
        ):
            found.setdefault(round(float(k[2])), _anonymous(header))
    if sorted(found) != list(range(scan.geometry.shape[2])):
        raise BadInput(f"{image.name}: its slices cannot be named in a DICOM SEG, write .nii.gz")
    return [found[k] for k in sorted(found)]


def _anonymous(header: Any) -> Any:
    from pydicom.uid import generate_uid

    for name in PERSONAL:
        setattr(header, name, "")
    if "FrameOfReferenceUID" not in header:
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=[str(header.StudyInstanceUID)])
    return header
