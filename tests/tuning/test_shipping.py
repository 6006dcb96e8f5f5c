from __future__ import annotations

from pathlib import Path

import pytest

import fgtune
from fgtune.config.schema.data_images import ImageFolderConfig
from fgtune.data.load import load_dataset
from fgtune.data.travelling import files_of
from fgtune.plugins import permitting
from fgtune.tuning import shipping
from fgtune.tuning.shipping import code_for_nodes, data_for_nodes, weights_for_nodes, with_local_weights


def test_fgtune_and_permitted_plugins_are_sent_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "one_file.py").write_text("")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    own = str(Path(fgtune.__file__).parent)
    assert code_for_nodes() == [own]
    with permitting(["one_file", "package.parts"]):
        assert code_for_nodes() == [own, str(tmp_path / "one_file.py"), str(tmp_path / "package")]
        monkeypatch.setattr(shipping, "MOST_CODE", -1)
        assert code_for_nodes() == [own]


@pytest.fixture
def images(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for coarse in "ab":
        (tmp_path / "images" / coarse).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / coarse / f"{number}.png")
    data = {"kind": "image_folder", "path": str(tmp_path / "images"), "size": 6}
    return load_dataset(ImageFolderConfig.from_plain(data))


def test_small_sets_always_travel_and_large_ones_if_a_node_does_not_see_them(images, monkeypatch):
    assert files_of(data_for_nodes({"x": images}, [])["x"]) == []
    monkeypatch.setattr(shipping, "ALWAYS", 10)
    assert data_for_nodes({"x": images}, [])["x"] is images
    assert files_of(data_for_nodes({"x": images}, ["x"])["x"]) == []


def test_weights_are_written_once_where_a_trial_runs(tmp_path, monkeypatch, ray_started):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    source = tmp_path / "mine" / "encoder.safetensors"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    sent = weights_for_nodes([str(source), "not/there.pt"])
    assert list(sent) == [str(source)]
    source.unlink()
    config = {"model": {"backbone": {"kind": "mlp"}, "weights": {"path": str(source), "layout": "plain"}}, "epochs": 3}
    local = [with_local_weights(config, sent)["model"] for _ in range(2)]
    assert local[0] == local[1]
    path = Path(local[0]["weights"]["path"])
    assert path.read_bytes() == b"weights"
    assert path.suffix == ".safetensors"
    assert config["model"]["weights"]["path"] == str(source)
    for other in ({"epochs": 3}, {"model": {"weights": None}}, {"model": {"weights": {"path": "else.pt"}}}):
        assert with_local_weights(other, sent) is other
