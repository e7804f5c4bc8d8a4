"""Images from folders: order, sizes, colours, what is skipped, and what is damaged."""

import sys

import numpy as np
import pytest
from PIL import Image

from grus.data.image_folder import holds_images, read_image_folder, read_images
from grus.errors import DataError, MissingExtraError


def grey(path, value, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of grey images 4 wide and 3 high, whose files were not written in the order of their names."""
    for name, value in [
        ("dog/2.png", 3),
        ("cat/b.bmp", 2),
        ("cat/a.pgm", 1),
        ("dog/10.png", 4),
        ("cat/sub/z.PNG", 5),
    ]:
        grey(tmp_path / "pets" / name, value)
    return tmp_path / "pets"


def test_a_folder_for_each_class(folder):
    found = read_image_folder(folder)
    assert found.names == ("cat/a.pgm", "cat/b.bmp", "cat/sub/z.PNG", "dog/10.png", "dog/2.png")
    assert found.labels == ("cat", "cat", "cat", "dog", "dog")
    assert (found.images.shape, found.images.dtype, found.notes) == ((5, 3, 4, 1), np.uint8, ())
    assert found.images[:, 0, 0, 0].tolist() == [1, 2, 5, 4, 3]


def test_images_without_folders_have_no_labels(folder):
    found = read_image_folder(folder / "dog")
    assert (found.names, found.labels) == (("10.png", "2.png"), None)
    one = read_image_folder(folder / "dog" / "2.png")
    assert (one.names, one.labels, one.images.shape) == (("2.png",), None, (1, 3, 4, 1))


def test_other_files_are_skipped_with_a_note(folder):
    for name in ("notes.txt", "cat/.hidden.png", "dog/Thumbs.db", ".git/x.png"):
        grey(folder / "tmp.png", 0)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / "tmp.png").rename(folder / name)
    found = read_image_folder(folder)
    assert len(found.names) == 5
    assert found.notes == (
        "pets: 3 files that are no images skipped (notes.txt, cat/.hidden.png, dog/Thumbs.db)",
    )
    (folder / "notes.txt").unlink()
    (folder / "dog/Thumbs.db").unlink()
    assert read_image_folder(folder).notes == ("pets: 1 file that is no image skipped (cat/.hidden.png)",)


def test_other_sizes_are_resized_with_a_note(folder):
    grey(folder / "dog/3.png", 9, (8, 6))
    found = read_image_folder(folder)
    assert found.images.shape == (6, 3, 4, 1)
    assert (found.images[-1] == 9).all()
    assert found.notes == ("1 of 6 images resized to 4 x 3 pixels (3.png)",)
    shaped = read_image_folder(folder, (6, 8, 3))
    assert shaped.images.shape == (6, 6, 8, 3)
    assert shaped.notes == ("5 of 6 images resized to 8 x 6 pixels (a.pgm, ...)",)


def test_one_coloured_image_makes_all_coloured(folder):
    Image.new("RGB", (4, 3), (10, 20, 30)).save(folder / "dog/3.png")
    images = read_image_folder(folder).images
    assert images.shape == (6, 3, 4, 3)
    assert images[-1, 0, 0].tolist() == [10, 20, 30]
    assert images[0, 0, 0].tolist() == [1, 1, 1]


def test_every_mode_has_its_pixels(tmp_path):
    def pixel(image, name="x.png"):
        image.save(tmp_path / name)
        return read_images([tmp_path / name])[0][0, 0, 0].tolist()

    size = (2, 2)
    assert pixel(Image.new("1", size, 1)) == [255]
    assert pixel(Image.new("RGBA", size, (200, 0, 0, 0))) == [255, 255, 255]
    assert pixel(Image.new("LA", size, (7, 255))) == [7]
    assert pixel(Image.new("RGB", size, (1, 2, 3)).quantize(2)) == [1, 2, 3]
    assert pixel(Image.fromarray(np.full(size, 0x1234, np.uint16))) == [0x12]
    assert pixel(Image.new("L", size, 100), "x.jpg") == [100]
    assert pixel(Image.new("RGB", size, (1, 2, 3)), "x.ppm") == [1, 2, 3]
    turned = Image.new("L", (4, 2))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "t.jpg", exif=exif)
    assert read_images([tmp_path / "t.jpg"])[0].shape == (1, 4, 2, 1)


def error(*arguments):
    with pytest.raises(DataError) as caught:
        read_image_folder(*arguments)
    return str(caught.value)


def test_damaged_images_are_named(folder):
    whole = (folder / "dog/2.png").read_bytes()
    must = "expected an image, got one that is damaged, cut short or of another kind"
    big = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(big).save(folder / "dog/2.png")
    for name, data in [
        ("2.png", (folder / "dog/2.png").read_bytes()[:900]),
        ("2.png", b"not an image"),
        ("2.png", b""),
    ]:
        (folder / "dog" / name).write_bytes(data)
        assert error(folder) == f"{folder}/dog/2.png: {must}"
    (folder / "dog/2.png").write_bytes(whole)
    Image.fromarray(np.zeros((3, 4), np.float32)).save(folder / "dog/3.tiff")
    assert (
        error(folder) == f"{folder}/dog/3.tiff: expected an image of 8 or 16 bits a pixel, got other numbers"
    )


def test_folders_that_cannot_be_used(tmp_path, folder):
    assert error(tmp_path / "no") == f"no such folder: {tmp_path}/no"
    (tmp_path / "empty" / "a").mkdir(parents=True)
    assert error(tmp_path / "empty") == (
        f"{tmp_path}/empty: expected images (.png, .jpg, .jpeg, .bmp, ...) in a folder for each class, got none"
    )
    grey(folder / "loose.png", 1)
    assert error(folder) == (
        f"{folder}: expected every image in a folder named by its class, got 'loose.png' beside the folders"
    )
    assert error(folder / "dog", (100_000, 100_000, 3)) == (
        f"{folder}/dog: expected images of at most 8 GB of pixels, got 2 of 100000 x 100000"
    )


def test_a_listed_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError) as caught:
        read_images([tmp_path / "x.png"])
    assert str(caught.value) == f"no such file: {tmp_path}/x.png"


def test_where_images_are(tmp_path, folder):
    (folder / "read.me").write_text("x")
    assert holds_images(folder)
    assert holds_images(folder / "dog")
    assert holds_images(folder / "dog/2.png")
    assert not holds_images(folder / "read.me")
    assert not holds_images(tmp_path)


def test_without_pillow_the_remedy_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(
        MissingExtraError, match=r"^reading images needs Pillow, which is not installed$"
    ) as caught:
        read_image_folder(folder)
    assert caught.value.hint == "pip install 'grus[train]'"
