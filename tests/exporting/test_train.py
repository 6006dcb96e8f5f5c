"""Training once more to keep a model starts from the encoder of its arm."""

from __future__ import annotations


def test_a_pretrained_arm_is_trained_once_more_from_its_encoder_and_predicts_alone(make_config, tmp_path):
    import numpy as np

    from fgtune.data.load import load_dataset
    from fgtune.exporting.train import train_on_all
    from fgtune.exporting.trained_model import FineModel, empty_network
    from fgtune.results.storage import FolderStorage

    config = make_config({"model.pretrain": {"kind": "scarf", "epochs": 2, "dim": 8}, "epochs": 2})
    dataset = load_dataset(config.data)
    first, again, alone = (
        train_on_all(config, dataset, 0, 1, lambda _: None, encoders)
        for encoders in (FolderStorage(tmp_path), FolderStorage(tmp_path), None)
    )
    assert len(list(tmp_path.glob("*.pt"))) == 1
    assert first.metrics == again.metrics == alone.metrics
    network = empty_network(config, first.model.inputs, 6)
    network.load_state_dict(first.model.network.state_dict())
    copy = FineModel(config, first.model.inputs, network.eval(), first.model.fine_to_coarse, None)
    assert np.array_equal(copy.predict(dataset.inputs).fine, first.model.predict(dataset.inputs).fine)
