from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from few_source import ORGANS, SHAPE, Few, entries, volume

from benchmark.data import library
from benchmark.data.volume import Volume
from benchmark.errors import BadInput


def test_stored_volume_is_the_same(tmp_path: Path) -> None:
    added = library.add(tmp_path, "few", Few())
    assert [case.name for case in added.cases] == ["case_0", "case_1", "case_2"]
    found = library.open_dataset(tmp_path, "few")
    assert found == added
    loaded, wanted = found.load("case_1"), volume(1)
    np.testing.assert_array_equal(loaded.image, wanted.image)
    np.testing.assert_array_equal(loaded.label, wanted.label)
    assert (loaded.image.dtype, loaded.label.dtype) == (np.int16, np.uint8)
    assert loaded.geometry == wanted.geometry
    assert (loaded.annotated, loaded.source_sha256) == (ORGANS, wanted.source_sha256)
    assert found.case("case_1").shape == SHAPE
    assert entries(tmp_path) == ["few"]  # no lock, no temporary folder
    assert [found.name for found in library.list_datasets(tmp_path)] == ["few"]
    assert "few" in library.known_names(tmp_path)


def test_workspace_can_be_moved(tmp_path: Path) -> None:
    library.add(tmp_path / "here", "few", Few())
    shutil.move(tmp_path / "here", tmp_path / "there")
    found = library.open_dataset(tmp_path / "there", "few")
    assert found.load("case_2").image.shape == SHAPE
    texts = [path.read_text() for path in found.folder.rglob("*.json")]
    assert len(texts) == 4
    assert not any(str(tmp_path) in text for text in texts)


def test_fingerprint_depends_on_contents_alone(tmp_path: Path) -> None:
    def fingerprint(name: str, source: Few) -> str:
        return library.add(tmp_path, name, replace(source, fingerprint=name)).fingerprint

    few = Few()
    base = fingerprint("a", few)
    assert fingerprint("other-name", few) == base
    assert fingerprint("reversed", Few(found=few.found[::-1])) == base
    fewer = [few.found[0], volume(1, ("liver",)), few.found[2]]
    assert fingerprint("annotated", Few(found=fewer)) != base
    changed = [replace(few.found[0], source_sha256="f" * 64), *few.found[1:]]
    assert fingerprint("bytes", Few(found=changed)) != base
    assert fingerprint("organs", replace(few, organs=(*ORGANS, "spleen"))) != base


def test_a_reader_that_makes_other_voxels_makes_other_cases_of_those_alone(tmp_path: Path) -> None:
    """The bytes are the same: without the reader's version new voxels would come under old keys."""
    few = Few()
    before = library.add(tmp_path, "before", few)
    mended = [replace(few.found[0], read_by="dicom-2"), *few.found[1:]]
    after = library.add(tmp_path, "after", Few(found=mended))
    assert before.cases[0].sha256 != after.cases[0].sha256
    assert [c.sha256 for c in before.cases[1:]] == [c.sha256 for c in after.cases[1:]]
    assert before.fingerprint != after.fingerprint
    assert after.load("case_0").read_by == "dicom-2"
    assert before.cases[0].sha256 == (  # as it was before there were versions of readers
        "284815980a9325cf2cf8bffec0d15eba019c27254f7196015699f55d920ea41b"
    )


def test_a_set_of_other_readers_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    first = library.add(tmp_path, "few", Few())
    assert library.add(tmp_path, "few", Few(), say=said.append) == first and not said
    monkeypatch.setattr(library, "READERS", library.READERS + 1)
    assert library.add(tmp_path, "few", Few(), say=said.append) == first
    assert len(said) == 1 and "another version of the readers" in said[0]
    assert str(first.folder) in said[0]


def test_without_source_bytes_the_arrays_count(tmp_path: Path) -> None:
    bare = [replace(volume(k), source_sha256="") for k in range(2)]
    other = replace(bare[0], label=np.where(bare[0].label == 2, 0, bare[0].label))
    one = library.add(tmp_path, "one", Few(found=bare, fingerprint="1"))
    two = library.add(tmp_path, "two", Few(found=[other, bare[1]], fingerprint="2"))
    assert one.cases[0].sha256 != two.cases[0].sha256
    assert one.cases[1].sha256 == two.cases[1].sha256


def test_same_source_again_is_no_work_and_another_is_refused(tmp_path: Path) -> None:
    first = library.add(tmp_path, "few", Few())
    stamp = (first.folder / "dataset.json").stat().st_mtime_ns
    assert library.add(tmp_path, "few", Few(found=[])) == first  # its volumes are not even read
    assert (first.folder / "dataset.json").stat().st_mtime_ns == stamp
    with pytest.raises(BadInput, match=r"another source.*choose another --name, or remove"):
        library.add(tmp_path, "few", Few(fingerprint="other"))
    assert library.open_dataset(tmp_path, "few") == first


@pytest.mark.parametrize("name", ["image.npy", "label.npy"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damaged_array_is_named(tmp_path: Path, name: str, how: str) -> None:
    added = library.add(tmp_path, "few", Few(), command="bench data add folder PATH")
    path = added.folder / "cases" / "case_1" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": content[:-9], "remove": b""}[how])
    if how == "remove":
        path.unlink()
    with pytest.raises(BadInput, match="add it again: bench data add folder PATH") as caught:
        added.load("case_1")
    assert str(path) in str(caught.value)
    assert added.load("case_0").case == "case_0"


def test_damaged_description_is_named_and_hides_no_other_set(tmp_path: Path) -> None:
    added = library.add(tmp_path, "few", Few())
    library.add(tmp_path, "good", Few())
    path = added.folder / "cases" / "case_1" / "case.json"
    path.write_text(path.read_text().replace('"liver"', '"spleen"'))
    with pytest.raises(BadInput, match=r"case_1.case\.json is damaged"):
        library.open_dataset(tmp_path, "few")
    said: list[str] = []
    assert [found.name for found in library.list_datasets(tmp_path, say=said.append)] == ["good"]
    assert "case.json is damaged" in said[0]
    (added.folder / "dataset.json").write_text("{")
    with pytest.raises(BadInput, match=r"dataset\.json is damaged"):
        library.open_dataset(tmp_path, "few")


def no_ct(number: int) -> Volume:
    picture = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.int16)
    return replace(volume(number), image=picture)


def test_bad_cases_are_all_listed_and_nothing_is_added(tmp_path: Path) -> None:
    empty = replace(volume(7), label=np.zeros(SHAPE, np.uint8))
    source = Few(found=[volume(0), no_ct(5), empty])
    with pytest.raises(BadInput) as caught:
        library.add(tmp_path, "few", source)
    text = str(caught.value)
    assert "2 of 3 cases are bad" in text
    assert "case_5: 0 % of the voxels lie under -50 HU" in text
    assert "case_7: 0 voxels of the label" in text
    assert entries(tmp_path) == []
    said: list[str] = []
    added = library.add(tmp_path, "few", source, skip_bad=True, say=said.append)
    assert [case.name for case in added.cases] == ["case_0"]
    assert sorted(added.origin["skipped"]) == ["case_5", "case_7"]
    assert any("left out case case_5" in line for line in said)
    with pytest.raises(BadInput, match="added without case_5"):
        library.add(tmp_path, "few", source, force=["case_5"])


def test_a_person_overrides_the_intensities_and_nothing_else(tmp_path: Path) -> None:
    source = Few(found=[volume(0), no_ct(5)])
    added = library.add(tmp_path, "few", source, force=["case_5"])
    assert added.record("case_5")["forced"] == ["hu_low"]
    assert added.record("case_0")["forced"] == []
    small = replace(volume(6), label=volume(6).label[:-1])
    with pytest.raises(BadInput, match=r"case_6: the image has shape \[8, 14, 12\]"):
        library.add(tmp_path, "shape", Few(found=[small]), force=["case_6"])
    with pytest.raises(BadInput, match="case_9"):
        library.add(tmp_path, "unknown", Few(), force=["case_9"])
    assert entries(tmp_path) == ["few"]


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("mr", {"image": np.random.default_rng(0).integers(0, 900, SHAPE)}, "under -50 HU"),
        ("z-score", {"image": np.random.default_rng(0).normal(0, 1, SHAPE)}, "under -50 HU"),
        ("zero", {"image": np.zeros(SHAPE)}, "under -50 HU"),
        ("air", {"image": np.full(SHAPE, -1000)}, "between -200 and 300 HU"),
        ("raw", {"image": volume(0).image + 9000}, "above 1500 HU"),
        ("offset", {"image": volume(0).image + 1024 - 2000 * (volume(0).image < -900)}, "liver"),
        ("label", {"label": np.full(SHAPE, 3)}, "the label holds 3, the set has organs 1..2"),
        ("metres", {"geometry": replace(volume(0).geometry, spacing_mm=(5e-3, 1, 1))}, "0.005"),
    ],
)
def test_what_is_no_ct_is_refused(tmp_path: Path, name: str, changed, message: str) -> None:
    kinds = {"image": np.int16, "label": np.uint8}
    cast = {
        key: value.astype(kinds[key]) if key in kinds else value for key, value in changed.items()
    }
    with pytest.raises(BadInput, match=message):
        library.add(tmp_path, name, Few(found=[replace(volume(0), **cast)]))
    assert entries(tmp_path) == []


@pytest.mark.parametrize("low", [-200, -1024, -3024])
def test_windowed_cropped_and_padded_ct_passes(tmp_path: Path, low: int) -> None:
    image = volume(0).image.copy()
    image[image < -900] = low
    image[0, 0, :5] = 3000  # metal
    library.add(tmp_path, "ct", Few(found=[replace(volume(0), image=image)]))


def test_equal_images_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    twin = replace(volume(0), case="twin")
    library.add(tmp_path, "few", Few(found=[volume(0), twin]), say=said.append)
    assert said == ["case twin: its image is the same as that of case_0"]


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden", "a/b", "a.b", "-a", "ä", "x" * 65])
def test_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="letters, digits"):
        library.add(tmp_path, name, Few())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["../../../escape", "a/b", "", "x y"])
def test_a_case_cannot_leave_the_set(tmp_path: Path, case: str) -> None:
    with pytest.raises(BadInput, match="cannot name a case"):
        library.add(tmp_path / "root", "few", Few(found=[replace(volume(0), case=case)]))
    assert entries(tmp_path / "root") == []


def test_unknown_set_and_case(tmp_path: Path) -> None:
    added = library.add(tmp_path, "few", Few())
    with pytest.raises(BadInput, match=r"no data set 'fwe'; did you mean few\? known: .*few"):
        library.open_dataset(tmp_path, "fwe")
    with pytest.raises(BadInput, match="no case 'x'; it has case_0"):
        added.load("x")


def test_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot write in the workspace .*file: .*--root"):
        library.add(tmp_path / "file", "few", Few())


def test_a_source_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Dies(Few):
        def volumes(self):
            yield volume(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.add(tmp_path, "few", Dies())
    assert entries(tmp_path) == []


def test_case_json_is_plain(tmp_path: Path) -> None:
    added = library.add(tmp_path, "few", Few())
    record = json.loads((added.folder / "cases" / "case_0" / "case.json").read_text())
    assert {check["name"] for check in record["checks"]} >= {"shape", "labels", "hu_low"}
    assert all(check["ok"] for check in record["checks"])


def test_a_set_that_does_not_say_where_it_came_from_opens(tmp_path: Path) -> None:
    """Its name is that of an embedded set, so that its origin is asked for."""
    added = library.add(tmp_path, "phantom", Few())
    path = added.folder / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "origin": {}}))
    said: list[str] = []
    assert library.open_dataset(tmp_path, "phantom", say=said.append).cases == added.cases
    assert len(said) == 1 and "another recipe" in said[0]
    with pytest.raises(BadInput, match="another source"):
        library.add(tmp_path, "phantom", Few())
