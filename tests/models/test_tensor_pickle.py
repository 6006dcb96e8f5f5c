"""Names in a checkpoint that are no part of tensors: whatever they are, nothing is imported, run or changed."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile

import pytest
import torch

from fgtune.models import tensor_pickle
from fgtune.models.tensor_pickle import Unread


def read(*codes: bytes) -> object:
    return tensor_pickle.load(io.BytesIO(b"".join(codes)))


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "builtins.getattr",
        "subprocess.Popen",
        "pickle.loads",
        "torch.load",
        "torch.Tensor",
    ],
)
def test_a_call_of_any_function_gives_a_stand_in(name):
    module, _, function = name.rpartition(".")
    found = read(named(module, function), b"(X\x06\x00\x00\x00exit 1tR.")
    assert isinstance(found, Unread)
    assert (type(found).__module__, type(found).__name__) == (module, function)


def test_a_module_that_a_file_names_is_not_imported():
    assert "antigravity" not in sys.modules
    assert isinstance(read(named("antigravity", "fly"), b")R."), Unread)
    assert "antigravity" not in sys.modules


def test_no_function_of_torch_can_be_changed_by_a_file():
    before = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(pickle.UnpicklingError, match="a function has no state"):
        read(named("torch._utils", "_rebuild_tensor_v2"), b"N}X\x0c\x00\x00\x00__defaults__K\x01s\x86b.")
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before


def test_a_torchscript_archive_is_not_run(tmp_path):
    from fgtune.config.schema.model import WeightsConfig
    from fgtune.errors import ConfigError
    from fgtune.models.weights import read_weights

    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", pickle.dumps({}))
    with pytest.raises(ConfigError, match=r"is not a complete file of torch\.save"):
        read_weights(torch.nn.Linear(1, 1), WeightsConfig(path=str(path)))
