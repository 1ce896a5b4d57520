import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import dataset as module
from edge_emotion.edge_runtime.dataset import Split, name_bytes, open_dataset, require_every_class
from edge_emotion.edge_runtime.errors import DatasetError, OptionError
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(folder))
    return folder


def write(path: Path, level: int, size: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(level)
    assert cv2.imwrite(str(path), rng.integers(0, 256, (size, size), dtype=np.uint8))
    return path


def kaggle(root: Path, train: int = 4, validation: int = 2) -> Path:
    level = 0
    for split, n in (("train", train), ("validation", validation)):
        for label in ("sad", "happy"):
            for i in range(n):
                write(root / split / label / f"{i}.png", level)
                level += 1
    return root


def zipped(folder: Path, target: Path) -> Path:
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", folder))


@pytest.mark.parametrize("prefix", ["", "images", "images/images", "a/b/c"])
@pytest.mark.parametrize("archive", [False, True])
def test_the_kaggle_layout_is_found_at_any_depth(tmp_path: Path, prefix: str, archive: bool) -> None:
    kaggle(tmp_path / "data" / prefix)
    path = zipped(tmp_path / "data", tmp_path / "data.zip") if archive else tmp_path / "data"
    found = open_dataset(path)
    assert found.classes == ("happy", "sad")
    assert found.splits == ("train", "validation")
    split = found.load("train")
    assert split.images.shape == (8, 48, 48, 1)
    assert split.counts == {"happy": 4, "sad": 4}


def test_a_doubled_folder_is_counted_once(tmp_path: Path) -> None:
    kaggle(tmp_path / "images")
    kaggle(tmp_path / "images" / "images")
    assert len(open_dataset(tmp_path).load("train")) == 8


def test_the_shallowest_splits_count_whatever_their_names(tmp_path: Path) -> None:
    kaggle(tmp_path / "a" / "c", train=2)
    kaggle(tmp_path / "b", train=3)
    assert open_dataset(tmp_path).load("train").counts == {"happy": 3, "sad": 3}


def test_of_several_pools_that_of_the_most_classes_counts(tmp_path: Path) -> None:
    for folder, labels in (("a", ("cat", "dog")), ("b/c", ("angry", "happy", "sad"))):
        for label in labels:
            write(tmp_path / folder / label / "0.png", 1)
    assert open_dataset(tmp_path).classes == ("angry", "happy", "sad")


def test_a_name_in_no_known_encoding_is_the_bytes_it_has_on_disk() -> None:
    assert name_bytes(os.fsdecode(b"caf\xe9.png")) == b"caf\xe9.png"


def test_the_hash_of_a_split_is_of_its_pixels_labels_and_classes() -> None:
    split = Split("train", ("a", "b"), np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1]), ("0.png", "1.png"))
    others = (
        replace(split, images=split.images + 1),
        replace(split, labels=split.labels[::-1]),
        replace(split, classes=("b", "a")),
    )
    assert len({each.sha256 for each in (split, *others)}) == 4
    assert replace(split, files=("2.png", "3.png")).sha256 == split.sha256


def test_more_images_than_are_read_at_once_are_all_read(tmp_path: Path) -> None:
    png = write(tmp_path / "0.png", 1, size=1).read_bytes()
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for index in range(514):
            archive.writestr(f"train/{('sad', 'happy')[index % 2]}/{index}.png", png)
    seen: list[tuple[int, int]] = []
    found = open_dataset(tmp_path / "data.zip").load("train", progress=lambda *done: seen.append(done))
    assert found.counts == {"happy": 257, "sad": 257}
    assert seen[-1] == (514, 514)


def test_folder_and_zip_give_the_same_pixels_and_hash(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "data")
    archive = zipped(folder, tmp_path / "data.zip")
    assert open_dataset(folder).sha256 == open_dataset(archive).sha256
    assert open_dataset(folder).load("train").sha256 == open_dataset(archive).load("train").sha256


def test_plain_folders_give_a_stable_stratified_tenth(tmp_path: Path) -> None:
    for label, n in (("sad", 30), ("happy", 10), ("angry", 2)):
        for i in range(n):
            write(tmp_path / label / f"{i}.png", i)
    found = open_dataset(tmp_path)
    assert found.made_validation
    validation = found.load("validation")
    assert validation.counts == {"angry": 1, "happy": 1, "sad": 3}
    assert not set(validation.files) & set(found.load("train").files)
    assert open_dataset(tmp_path).load("validation").files == validation.files
    assert open_dataset(tmp_path, validation_seed=1).load("validation").files != validation.files


def test_test_serves_as_validation_only_where_there_is_no_other(tmp_path: Path) -> None:
    kaggle(tmp_path)
    (tmp_path / "validation").rename(tmp_path / "test")
    assert open_dataset(tmp_path).load("validation").name == "test"
    kaggle(tmp_path)
    assert open_dataset(tmp_path).load("validation").name == "validation"
    with pytest.raises(DatasetError, match="has no nonsense split: it has train, validation, test"):
        open_dataset(tmp_path).load("nonsense")


def test_classes_are_a_subset_in_the_order_asked_for(tmp_path: Path) -> None:
    kaggle(tmp_path)
    for i in range(3):
        write(tmp_path / "train" / "angry" / f"{i}.png", 100 + i)
    split = open_dataset(tmp_path).load("train", classes=("sad", "angry"))
    assert split.classes == ("sad", "angry")
    assert split.counts == {"sad": 4, "angry": 3}
    assert all(("sad", "angry")[label] in name for label, name in zip(split.labels, split.files, strict=True))
    with pytest.raises(OptionError, match="did you mean angry"):
        open_dataset(tmp_path).load("train", classes=("sad", "angri"))


def test_limit_is_seeded_and_by_class(tmp_path: Path) -> None:
    split = open_dataset(kaggle(tmp_path, train=20)).load("train")
    few = split.limit(3, seed=1)
    assert few.counts == {"happy": 3, "sad": 3}
    assert few.files == split.limit(3, seed=1).files
    assert few.files != split.limit(3, seed=2).files
    assert split.limit(1000).files == split.files


def test_unreadable_images_are_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kaggle(tmp_path)
    (tmp_path / "train" / "sad" / "text.jpg").write_text("I am text")
    whole = (tmp_path / "train" / "sad" / "0.png").read_bytes()
    (tmp_path / "train" / "sad" / "cut.png").write_bytes(whole[:200])
    split = open_dataset(tmp_path).load("train")
    assert len(split) == 8
    assert {Path(name).name for name in split.unreadable} == {"text.jpg", "cut.png"}
    assert "2 unreadable image(s) skipped" in caplog.text


@pytest.mark.parametrize("linked", ["data", "data/train", "data/validation/sad"])
def test_links_to_folders_are_followed(tmp_path: Path, linked: str) -> None:
    kaggle(tmp_path / "data")
    elsewhere = tmp_path / "elsewhere" / Path(linked).name
    elsewhere.parent.mkdir()
    (tmp_path / linked).rename(elsewhere)
    (tmp_path / linked).symlink_to(elsewhere)
    found = open_dataset(tmp_path / "data")
    assert found.load("train").counts == {"happy": 4, "sad": 4}
    assert found.load("validation").counts == {"happy": 2, "sad": 2}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    kaggle(tmp_path)
    (tmp_path / "train" / "up").symlink_to(tmp_path)
    (tmp_path / "train" / "sad" / "other").symlink_to(tmp_path / "train" / "happy")
    (tmp_path / "train" / "happy" / "other").symlink_to(tmp_path / "train" / "sad")
    assert open_dataset(tmp_path).load("train").counts == {"happy": 4, "sad": 4}


def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle(tmp_path)
    (tmp_path / "lost+found").mkdir()
    of_all = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder.name == "lost+found":  # root's, which a test that runs as root could read
            raise PermissionError(13, "Permission denied")
        return of_all(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert open_dataset(tmp_path).load("train").counts == {"happy": 4, "sad": 4}


def test_a_zip_with_backslashes_is_read_as_one_with_slashes(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, str(file.relative_to(folder)).replace("/", "\\"))
    found = open_dataset(tmp_path / "data.zip")
    assert found.load("train").sha256 == open_dataset(folder).load("train").sha256
    assert found.sha256 == open_dataset(folder).sha256


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("cut", [False, True])
def test_damaged_members_of_a_zip_are_unreadable_and_the_rest_is_read(tmp_path: Path, method: int, cut: bool) -> None:
    folder = kaggle(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data.zip", "w", method) as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
        damaged = archive.infolist()[0]
    content = bytearray((tmp_path / "data.zip").read_bytes())
    start = damaged.header_offset + 30 + len(damaged.filename)  # the local file header, APPNOTE 4.3.7
    first = start + damaged.compress_size // 2 if cut else start
    content[first : start + damaged.compress_size] = b"\xff" * (start + damaged.compress_size - first)
    (tmp_path / "data.zip").write_bytes(content)
    found = open_dataset(tmp_path / "data.zip").load("train")
    assert found.unreadable == (damaged.filename,)
    assert len(found) == 7


def test_damaged_members_are_told_in_one_line_with_their_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = zipped(kaggle(tmp_path / "data", train=20), tmp_path / "data.zip")
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        for info in [info for info in opened.infolist() if "train/sad" in info.filename and not info.is_dir()]:
            content[info.header_offset] ^= 0xFF
    archive.write_bytes(content)
    found = open_dataset(archive)
    assert len(found.load("train").unreadable) == 20
    found.load("validation")
    damaged, skipped = caplog.messages
    assert damaged.startswith(f"20 damaged file(s) in {archive} cannot be unpacked: train/sad/0.png (Bad magic number")
    assert damaged.endswith(", …")
    assert damaged.count("train/sad") == 3
    assert skipped.startswith("20 unreadable image(s) skipped in train: ")


def marked(folder: Path, target: Path, pattern: str, flags: int = 0, method: int | None = None) -> Path:
    """A zip of the folder; these bits and this method stand at the matching members, as another program would put."""
    archive = zipped(folder, target)
    content = bytearray(archive.read_bytes())
    at = content.find(b"PK\x01\x02")  # a header of the central directory, APPNOTE 4.3.12
    while at >= 0:
        length = int.from_bytes(content[at + 28 : at + 30], "little")
        if PurePosixPath(content[at + 46 : at + 46 + length].decode()).match(pattern):
            content[at + 8] |= flags
            content[at + 10] = content[at + 10] if method is None else method
        at = content.find(b"PK\x01\x02", at + 46)
    archive.write_bytes(content)
    return archive


@pytest.mark.parametrize(
    ("flags", "method", "words"),
    [
        (0x1, None, r"holds 'train/sad/0\.png', which is encrypted: unpack it, and name the folder instead"),
        (0x41, 99, "which is encrypted"),  # AES
        (0, 9, r"holds 'train/sad/0\.png', packed with a method \(9\) that Python does not read: unpack it"),
    ],
)
def test_a_zip_that_python_cannot_unpack_is_refused_before_anything_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, flags: int, method: int | None, words: str
) -> None:
    archive = marked(kaggle(tmp_path / "data"), tmp_path / "data.zip", "train/sad/0.png", flags, method)
    with pytest.raises(DatasetError, match=words):
        open_dataset(archive)
    assert caplog.text == ""


def test_what_is_not_used_of_a_zip_may_be_encrypted(tmp_path: Path) -> None:
    folder = kaggle(tmp_path / "data")
    (folder / "licence.txt").write_text("x")
    write(folder / "old" / "sad" / "0.png", 1)
    for pattern in ("*.txt", "old/sad/*.png"):
        assert len(open_dataset(marked(folder, tmp_path / "data.zip", pattern, 0x1)).load("train")) == 8


def test_a_zip_of_a_later_version_of_the_format_is_an_error(tmp_path: Path) -> None:
    archive = zipped(kaggle(tmp_path / "data"), tmp_path / "data.zip")
    content = bytearray(archive.read_bytes())
    content[content.find(b"PK\x01\x02") + 6] = 200
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match="nor a readable zip: zip file version 20"):
        open_dataset(archive)


def test_images_without_a_class_folder_are_no_class_of_the_split_s_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / "flat" / split / "0.png", 1)
        write(tmp_path / "flat" / split / "1.png", 2)
    with pytest.raises(DatasetError, match="no images in class folders"):
        open_dataset(tmp_path / "flat")


def test_what_is_no_image_is_not_listed(tmp_path: Path) -> None:
    kaggle(tmp_path)
    (tmp_path / "train" / "sad" / "notes.txt").write_text("x")
    (tmp_path / "train" / "sad" / ".hidden.jpg").write_text("x")
    write(tmp_path / "__MACOSX" / "train" / "sad" / "0.png", 1)
    assert len(open_dataset(tmp_path).load("train")) == 8


def test_the_second_load_decodes_nothing(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle(tmp_path)
    first = open_dataset(tmp_path).load("train")

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(module, "decode", never)
    again = open_dataset(tmp_path).load("train")
    np.testing.assert_array_equal(first.images, again.images)
    assert open_dataset(tmp_path).load("train", classes=("sad", "happy")).counts == {"sad": 4, "happy": 4}


def test_a_changed_image_is_decoded_again(tmp_path: Path) -> None:
    kaggle(tmp_path)
    before = open_dataset(tmp_path).load("train").sha256
    write(tmp_path / "train" / "sad" / "0.png", 999)
    assert open_dataset(tmp_path).load("train").sha256 != before


def test_a_cut_off_cache_is_made_anew(tmp_path: Path, own_cache: Path) -> None:
    kaggle(tmp_path)
    first = open_dataset(tmp_path).load("train")
    (entry,) = (own_cache / "decoded").iterdir()
    entry.write_bytes(entry.read_bytes()[:500])
    np.testing.assert_array_equal(open_dataset(tmp_path).load("train").images, first.images)


def test_without_a_writable_cache_it_still_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kaggle(tmp_path / "data")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(blocked))
    assert len(open_dataset(tmp_path / "data").load("train")) == 8
    assert "not cached" in caplog.text


def test_another_input_gets_its_own_pixels(tmp_path: Path) -> None:
    found = open_dataset(kaggle(tmp_path))
    for spec in (FACE_48, InputSpec(width=32), InputSpec(height=24), InputSpec(colour="rgb")):
        assert found.load("train", spec).images.shape == (8, *spec.shape)


def test_what_is_not_used_is_counted(tmp_path: Path) -> None:
    root = kaggle(tmp_path)
    for name in ("train/sad/1.HEIC", "train/sad/2.heic", "notes.txt", ".hidden/1.heic", "__MACOSX/1.heic"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    for name in ("old/sad/1.png", "old/happy/1.png", "train/sad/more/1.png", "train/1.png"):
        write(root / name, 1)
    assert open_dataset(root).leftovers == (
        "2 .heic files, 2 images in old/, 1 .txt file, 1 image in train/sad/more/, 1 image outside class folders"
    )
    assert open_dataset(zipped(root, tmp_path / "data.zip")).leftovers == open_dataset(root).leftovers


def test_an_error_names_what_could_not_be_used(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.heic").write_text("x")
    with pytest.raises(DatasetError, match=r"no images in class folders .*; not used: 2 \.heic files \(images .*\.jpg"):
        open_dataset(tmp_path)
    write(tmp_path / "happy" / "1.png", 1)
    with pytest.raises(DatasetError, match=r"one class only \(happy\).*; not used: 2 \.heic files"):
        open_dataset(tmp_path)


def test_training_and_testing_are_splits(tmp_path: Path) -> None:
    kaggle(tmp_path)
    (tmp_path / "train").rename(tmp_path / "Training")
    (tmp_path / "validation").rename(tmp_path / "Testing")
    found = open_dataset(tmp_path)
    assert found.splits == ("train", "test")
    assert found.leftovers == ""


@pytest.mark.parametrize("prefix", ["", "images"])
def test_without_a_validation_split_the_way_to_one_is_said(tmp_path: Path, prefix: str) -> None:
    root = tmp_path / "data"
    kaggle(root / prefix)
    shutil.rmtree(root / prefix / "validation")
    with pytest.raises(DatasetError) as error:
        open_dataset(root).resolve_split("validation")
    folder = Path(str(error.value).split("point --data at ")[1].removesuffix(" to have 10 % of it held back"))
    assert folder == root / prefix / "train"
    assert len(open_dataset(folder).load("validation")) == 2
    with pytest.raises(DatasetError, match="train of the unpacked zip"):
        open_dataset(zipped(root, tmp_path / "data.zip")).resolve_split("validation")


def test_hashes_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_dataset(kaggle(tmp_path))
    split = found.load("train")
    assert split.take(np.array([0])).sha256 != split.sha256
    whole, pixels = found.sha256, split.sha256
    monkeypatch.setattr("hashlib.sha256", lambda *_: pytest.fail("hashed again"))
    assert (found.sha256, split.sha256) == (whole, pixels)
    assert found == open_dataset(tmp_path)
    assert whole not in repr(found)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_archive_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/sad/0.png", b"x")
        archive.writestr(name, b"x")
    with pytest.raises(DatasetError, match="would leave the folder"):
        open_dataset(path)


def test_a_missing_path_an_empty_folder_a_text_and_one_class_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no images in class folders"):
        open_dataset(tmp_path / "empty")
    (tmp_path / "text.zip").write_text("x")
    with pytest.raises(DatasetError, match="neither a folder nor a readable zip"):
        open_dataset(tmp_path / "text.zip")
    write(tmp_path / "one" / "train" / "sad" / "0.png", 1)
    with pytest.raises(DatasetError, match=r"one class only \(sad\)"):
        open_dataset(tmp_path / "one")


def test_a_class_missing_in_one_split_is_named(tmp_path: Path) -> None:
    kaggle(tmp_path)
    shutil.rmtree(tmp_path / "validation" / "sad")
    split = open_dataset(tmp_path).load("validation")
    assert split.counts == {"happy": 2, "sad": 0}
    with pytest.raises(DatasetError, match="no image of sad, which training needs"):
        require_every_class(split, "training")


def test_a_split_with_nothing_readable_is_an_error(tmp_path: Path) -> None:
    for label in ("sad", "happy"):
        (tmp_path / "train" / label).mkdir(parents=True)
        (tmp_path / "train" / label / "0.jpg").write_text("x")
    with pytest.raises(DatasetError, match="no readable image"):
        open_dataset(tmp_path).load("train")
