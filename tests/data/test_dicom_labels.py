"""DICOM SEG and RTSTRUCT as labels: written by highdicom, rt-utils and pydicom, read on the grid of
the series that they belong to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from bench_process import bench
from native import ORGANS, add, refused, same, small
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from benchmark.data.readers.contours import filled
from benchmark.data.readers.pairs import Beside, Pairs
from benchmark.phantom.layout import Header, dicom_files, on_disk, save

NAMES = {organ: organ for organ in ORGANS}
DISK = on_disk(small(0), (False, True, False))
LPS = np.diag([-1.0, -1.0, 1.0, 1.0]) @ DISK.affine
WRITTEN = {"liver": "Liver", "left_kidney": "Kidney L", "right_kidney": "kidney_right"}
SECRET = "PLANTED^NAME"


def series(folder: Path) -> list[Dataset]:
    """The slices as files, with what highdicom asks a CT for; returned in the order of k."""
    files = dicom_files(DISK.image_ijk, DISK.affine, header=Header(patient=SECRET))
    found = []
    for name, content in files.items():
        data = pydicom.dcmread(io.BytesIO(content))
        for field in ("StudyDate", "StudyTime", "AccessionNumber", "PatientBirthDate", "StudyID"):
            setattr(data, field, "")
        data.PatientSex, data.ReferringPhysicianName = "", SECRET
        data.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        save(folder, {name: stream.getvalue()})
        found.append(data)
    return found


def by_highdicom(path: Path, kind: str = "BINARY", keep: slice = slice(None)) -> Path:
    """The three organs as segments 1 to 3; empty frames are left out, as by default."""
    hd = pytest.importorskip("highdicom", reason="highdicom is not installed")
    from pydicom.sr.codedict import codes

    slices = series(path.parent / "dicom")[keep]
    kji = np.ascontiguousarray(DISK.label_ijk.T)[keep]
    if kind == "FRACTIONAL":
        kji = np.stack([kji == n for n in (1, 2, 3)], axis=-1).astype(np.float32) * 0.8
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=WRITTEN[organ],
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, organ in enumerate(ORGANS, start=1)
    ]
    for one in described:  # a type of its own would be a second name
        one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Organ"
    made = hd.seg.Segmentation(
        slices, kji, kind, described, generate_uid(), 2, generate_uid(), 1, "m", "m", "1", "1"
    )
    made.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_lies_where_its_frames_say(tmp_path: Path, kind: str) -> None:
    seg = by_highdicom(tmp_path / "case" / "seg.dcm", kind)
    frames = int(pydicom.dcmread(seg).NumberOfFrames)
    assert kind == "LABELMAP" or frames < 3 * len(DISK.image_ijk.T)  # empty ones are left out
    same(add(tmp_path, Beside(tmp_path / "case", NAMES)).load("case"), small(0))
    numbers = {organ: number for number, organ in enumerate(ORGANS, start=1)}
    one = add(tmp_path / "p", Pairs(tmp_path / "case" / "dicom", seg, numbers))
    same(one.load("dicom"), small(0))
    paths = [str(tmp_path / "case" / "dicom"), str(seg)]
    root = ("--root", str(tmp_path / "cli"), "--name", "x")
    ran = bench("data", "add", "pair", *paths, "--organ", "liver", *root)
    assert ran.code == 0 and ran.out == "data set x: 1 case, liver\n", ran.err


def test_frames_in_any_order_and_what_fits_nowhere(tmp_path: Path) -> None:
    seg = by_highdicom(tmp_path / "case" / "seg.dcm")
    data = pydicom.dcmread(seg)
    pixels, groups = data.pixel_array, list(data.PerFrameFunctionalGroupsSequence)
    order = np.random.default_rng(0).permutation(len(groups))
    data.PixelData = pydicom.pixels.pack_bits(pixels[order])
    data.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]
    data.save_as(seg)
    same(add(tmp_path, Beside(tmp_path / "case", NAMES)).load("case"), small(0))
    for moved in (0.6, 1.4):  # voxels: 1 and 2 with the first
        for group in data.PerFrameFunctionalGroupsSequence:
            place = group.PlanePositionSequence[0]
            x, y, z = place.ImagePositionPatient
            place.ImagePositionPatient = [x, y + moved * LPS[1, 1], z]
        data.save_as(seg)
        told = "off the image's grid"
        text = refused(tmp_path / str(moved), Beside(tmp_path / "case", NAMES), told)
        assert SECRET not in text


def test_a_segmentation_of_every_second_slice_is_not_striped(tmp_path: Path) -> None:
    by_highdicom(tmp_path / "case" / "seg.dcm", keep=slice(None, None, 2))
    series(tmp_path / "case" / "dicom")
    refused(tmp_path / "x", Beside(tmp_path / "case", NAMES), "was drawn on some slices only")


def structure_set(path: Path, drawn: dict[str, list[np.ndarray]], slices: list[Dataset]) -> Path:
    """An RTSTRUCT of closed contours, each (n, 3) in pixels i, j and slice k, by pydicom."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    data.Modality, data.PatientName, data.StructureSetLabel = "RTSTRUCT", SECRET, SECRET
    data.SeriesInstanceUID, data.StudyInstanceUID = generate_uid(), slices[0].StudyInstanceUID
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(drawn.items(), start=1):
        roi, contour = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        contour.ReferencedROINumber, contour.ContourSequence = number, []
        for points in contours:
            one = Dataset()
            one.ContourGeometricType = "CLOSED_PLANAR"
            one.NumberOfContourPoints = len(points)
            mm = points @ LPS[:3, :3].T + LPS[:3, 3]
            one.ContourData = [f"{v:.6g}" for v in mm.ravel()]
            contour.ContourSequence.append(one)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(contour)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)
    return path


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Contours around pixels, through the edges between them; holes are contours of their own."""
    import contourpy

    found = []
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        plane = np.pad(mask[:, :, k].T.astype(float), 1)
        for line in contourpy.contour_generator(z=plane).lines(0.5):
            found.append(np.column_stack([line[:-1] - 1, np.full(len(line) - 1, k)]))
    return found


def test_a_structure_set_is_filled_with_its_holes(tmp_path: Path) -> None:
    slices = series(tmp_path / "case" / "dicom")
    masks = {organ: DISK.label_ijk == n for n, organ in enumerate(ORGANS, start=1)}
    i, j, k = (int(np.median(axis)) for axis in np.nonzero(masks["liver"]))
    hollow = masks["liver"].copy()
    hollow[i - 1 : i + 2, j - 1 : j + 2, k] = False  # a hole in one slice
    drawn = {WRITTEN[organ]: outlines(mask) for organ, mask in {**masks, "liver": hollow}.items()}
    structure_set(tmp_path / "case" / "rt.dcm", drawn, slices)
    root = ("--root", str(tmp_path / "root"), "--name", "rt")
    ran = bench("data", "add", "folder", str(tmp_path / "case"), *root)
    assert ran.code == 0 and "1 case" in ran.out and SECRET not in ran.out + ran.err, ran.err
    volume = add(tmp_path / "two", Beside(tmp_path / "case", NAMES)).load("case")
    from benchmark.data.volume import to_canonical

    wanted = to_canonical(np.where(masks["liver"] & ~hollow, 0, DISK.label_ijk), DISK.affine)[0]
    np.testing.assert_array_equal(volume.label, wanted)


def test_several_files_hold_an_organ_each(tmp_path: Path) -> None:
    slices = series(tmp_path / "case" / "dicom")
    for number, organ in enumerate(ORGANS, start=1):
        drawn = {WRITTEN[organ]: outlines(DISK.label_ijk == number)}
        structure_set(tmp_path / "case" / f"{number}.dcm", drawn, slices)
    said: list[str] = []
    found = add(tmp_path, Beside(tmp_path / "case", NAMES), say=said.append)
    same(found.load("case"), small(0))
    assert said == []
    structure_set(tmp_path / "case" / "4.dcm", drawn, slices)
    refused(tmp_path / "x", Beside(tmp_path / "case", NAMES), "hold right_kidney: which is right?")


def even_odd(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The rule by its definition: how often a ray from each pixel's centre meets an edge."""
    inside = np.zeros(shape, bool)
    for i in range(shape[0]):
        for j in range(shape[1]):
            crossings = 0
            for polygon in polygons:
                for (a, b), (c, d) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                    if (b > j) != (d > j) and i > a + (j - b) * (c - a) / (d - b):
                        crossings += 1
            inside[i, j] = crossings % 2 == 1
    return inside


def far_from_edges(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Where no edge comes near a pixel's centre; on an edge a pixel is inside by our rule."""
    centres = np.stack(np.indices(shape), axis=-1)
    far = np.full(shape, np.inf)
    for polygon in polygons:
        for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            along = np.clip(((centres - a) @ (b - a)) / max((b - a) @ (b - a), 1e-9), 0, 1)
            apart = np.linalg.norm(centres - a - along[..., None] * (b - a), axis=-1)
            far = np.minimum(far, apart)
    return far > 0.02


def test_filling_is_the_even_odd_rule_with_holes_and_keyholes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        turn = np.sort(rng.random(9)) * 2 * np.pi
        radius = rng.uniform(3, 9, (9, 1))
        outer = 10.037 + radius * np.column_stack([np.cos(turn), np.sin(turn)])
        inner = 10.037 + 0.4 * (outer - 10.037)
        hole = np.vstack([inner, inner[:1]])[::-1]  # one line: around, in, around the hole, out
        keyhole = np.vstack([outer, outer[:1], hole])
        wanted = even_odd([outer, inner], (20, 21))
        for drawn in ([outer, inner], [keyhole]):
            clear = far_from_edges(drawn, (20, 21))
            assert np.array_equal(filled(drawn, (20, 21))[clear], wanted[clear])
            assert clear.sum() > 380
    pixels = np.array([[2, 2], [6, 2], [6, 5], [2, 5]], float)  # drawn through centres
    wanted = np.zeros((9, 9), bool)
    wanted[2:7, 2:6] = True
    np.testing.assert_array_equal(filled([pixels], (9, 9)), wanted)


def test_contours_that_fit_nowhere_are_refused_with_the_figure(tmp_path: Path) -> None:
    slices = series(tmp_path / "case" / "dicom")
    mask = DISK.label_ijk == 1
    lines = outlines(mask)
    bad = {
        "from the next slice": [line + np.array([0, 0, 0.45]) for line in lines],
        "leaves the image": [line + np.array([200, 0, 0]) for line in lines],
        "was drawn on some slices only": [line for line in lines if line[0, 2] % 2 == 0],
    }
    for number, (told, contours) in enumerate(bad.items()):
        structure_set(tmp_path / "case" / "rt.dcm", {"Liver": contours}, slices)
        refused(tmp_path / str(number), Beside(tmp_path / "case", {"liver": "liver"}), told)
    structure_set(tmp_path / "case" / "rt.dcm", {SECRET: lines, "spleen": lines}, slices)
    text = refused(
        tmp_path / "name", Beside(tmp_path / "case", NAMES), "it has spleen, 1 with other names"
    )
    assert SECRET not in text


def test_what_rt_utils_writes_is_what_it_drew(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="rt-utils is not installed")
    rt_utils: Any = pytest.importorskip("rt_utils", reason="rt-utils is not installed")
    series(tmp_path / "case" / "dicom")
    made = rt_utils.RTStructBuilder.create_new(dicom_series_path=str(tmp_path / "case" / "dicom"))
    heights = [float(one.ImagePositionPatient[2]) for one in made.series_data]
    mask = (DISK.label_ijk == 1)[:, :, np.argsort(np.argsort(heights))]  # along their own normal
    made.add_roi(mask=np.ascontiguousarray(mask.transpose(1, 0, 2)), name="Liver")
    made.save(str(tmp_path / "case" / "rt"))
    found = add(tmp_path, Beside(tmp_path / "case", {"liver": "liver"})).load("case")
    wanted = small(0).label == 1
    both = np.count_nonzero(wanted & (found.label == 1))
    assert 2 * both / (wanted.sum() + (found.label == 1).sum()) > 0.995
