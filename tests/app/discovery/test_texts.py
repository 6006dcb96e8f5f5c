"""A user's table of texts: the studies read it themselves, words describe it, and other forms have no such column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.layouts import made_texts

from fgtune.app.discovery.read import read_source
from fgtune.app.discovery.request import Request
from fgtune.app.discovery.source import Asked
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.errors import ConfigError, DataError


@pytest.fixture
def file(tmp_path) -> Path:
    frame = pd.DataFrame(made_texts(), columns=["body", "group", "topic"])
    frame.insert(0, "id", [f"m{row}" for row in range(len(frame))])
    frame["length"] = np.arange(len(frame)) % 7
    frame.to_csv(tmp_path / "mail.csv", index=False)
    return tmp_path / "mail.csv"


def test_texts_are_the_only_inputs_and_words_describe_them(file, tmp_path):
    source = read_source(Asked(file, coarse="group", fine="topic", text="body"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (source.coarse, source.id_name, source.ids[3]) == ("group", "id", "m3")
    data = load_dataset(TrialConfig.from_plain({"data": source.config, "classes": {"num_fine": 4}}).data)
    assert (data.fine, data.coarse_names) == (None, (("science", "sport"),))
    assert source.shape == data.inputs.shape[1:]
    assert {"goalkeeper", "keeper", "quantum"} & set(source.features) == {"keeper", "quantum"}
    topic = np.array([topic for _, _, topic in made_texts()])
    quantum = source.numbers[:, source.features.index("quantum")]
    assert quantum[topic == "physics"].mean() > 3 * quantum[topic != "physics"].mean()
    assert set(source.fine) == set(topic)


def test_the_column_of_labels_is_guessed_among_the_others(file, tmp_path):
    pd.read_csv(file).drop(columns=["topic", "length"]).to_csv(file, index=False)
    source = read_source(Asked(file, text="body"), tmp_path / "out")
    assert source.coarse == "group"
    assert any("guessed" in note for note in source.notes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"text": "bodi"}, "no such column"),
        ({"text": "length", "coarse": "group"}, "must be a column of text"),
        ({"text": "body", "coarse": "group", "left_out": ("body",)}, "cannot hold the texts and be left out"),
    ],
    ids=["another name", "numbers", "left out"],
)
def test_a_column_that_holds_no_texts_is_one_error(file, tmp_path, asked, message):
    with pytest.raises(DataError, match=message):
        read_source(Asked(file, **asked), tmp_path / "out")


def test_only_tables_have_columns_of_texts(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.zeros((20, 2)))
    with pytest.raises(DataError, match="only a table has a column of texts"):
        read_source(Asked(tmp_path / "a.npz", text="body"), tmp_path / "out")


def test_a_folder_is_not_continued_with_another_column(file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    asked = Asked(file, coarse="group", text="body")
    first = Request(asked, None, "digest")
    assert "--text body" in first.command(out, 10.0)
    from fgtune.app.discovery.budget import Schedule

    done = replace(first, schedule=Schedule(12, (), 0, "falcon", 3, ("falcon",), 3))
    done.write(out)
    assert first.continued(out).schedule is not None
    for other in (replace(asked, text="other"), replace(asked, text=None)):
        with pytest.raises(ConfigError, match="holds a discovery with another text"):
            replace(first, asked=other).continued(out)
