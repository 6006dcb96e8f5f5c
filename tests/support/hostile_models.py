"""Files of weights that mean harm, for ``trial.model.weights``; those of a model folder are in ``hostile_folder``."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from support.hostile_data import HUGE, RunsCode
from support.hostile_folder import ANYWHERE, _safetensors
from support.hostile_images import Make


def _zipped(content: bytes, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Make:
    """Makes an archive as ``torch.save`` writes it, of any pickle and any records."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("x/data.pkl", content)
            archive.writestr("x/version", b"3\n")
            for name, record in records.items():
                archive.writestr(f"x/data/{name}", record)

    return make


def _tensor(numel: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The pickle of a mapping with one tensor that says of itself what it likes."""

    def word(text: str) -> bytes:
        return b"X" + struct.pack("<I", len(text)) + text.encode()

    def whole(value: int) -> bytes:
        raw = value.to_bytes(9, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    def row(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(whole, values)) + b"t"

    storage = b"(" + word("storage") + b"ctorch\nFloatStorage\n" + word("0") + word("cpu") + whole(numel) + b"tQ"
    empty = b"ccollections\nOrderedDict\n)R"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + whole(0) + row(size) + row(stride) + b"\x89" + empty
    return b"\x80\x02}" + word("0.weight") + rebuilt + b"tRs."


def _bomb(path: Path, content: bytes, name: str, block: bytes, blocks: int) -> None:
    """An archive with a member of gigabytes that takes little room."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/version", b"3\n")
        if content:
            archive.writestr("x/data.pkl", content)
        with archive.open(name, "w", force_zip64=True) as member:
            for _ in range(blocks):
                member.write(block)


def _saved(value: object) -> Make:
    """Makes what ``torch.save`` writes of an object."""

    def make(path: Path) -> None:
        import torch

        torch.save(value, path)

    return make


def _script(path: Path) -> None:
    """A module as TorchScript, which is code."""
    import torch

    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))


def _tar(path: Path) -> None:
    """The oldest format, in which a member names a place outside."""
    with tarfile.open(path, "w") as archive:
        for name in ("pickle", "../../RUN", "storages", "tensors"):
            content = pickle.dumps(RunsCode())
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _entry(shape: list[int], offsets: list[int], dtype: str = "F32") -> str:
    return json.dumps({"0.weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


WEIGHTS: dict[str, Make] = {
    **{f"{name}.pth": make for name, make in ANYWHERE.items()},
    **{f"{name}.safetensors": make for name, make in ANYWHERE.items()},
    "folder.pth": lambda path: path.mkdir(),
    "empty.pth": lambda path: path.write_bytes(b""),
    "text.pth": lambda path: path.write_text("x" * 10_000),
    "pickle.pth": lambda path: path.write_bytes(pickle.dumps(RunsCode())),
    "old_pickle.pth": lambda path: path.write_bytes(pickle.dumps({"a": RunsCode()}, protocol=0)),
    "code.pth": _saved({"state_dict": RunsCode()}),
    "module.pth": lambda path: _saved(__import__("torch").nn.Linear(2, 2))(path),
    "script.pth": _script,
    "tar.pth": _tar,
    "bomb.pth": lambda path: _bomb(path, _tensor(10**9, (10**9,), (1,)), "x/data/0", bytes(10**7), 400),
    "pickle_bomb.pth": lambda path: _bomb(path, b"", "x/data.pkl", b"\x80\x02" + b"N" * 10**7, 100),
    "claims.pth": _zipped(_tensor(HUGE, (HUGE,), (1,)), {"0": bytes(4)}),
    "expanded.pth": _zipped(_tensor(1, (10**6, 10**6), (0, 0)), {"0": bytes(4)}),
    "beyond.pth": _zipped(_tensor(1, (8, 4), (4, 1)), {"0": bytes(4)}),
    "below_zero.pth": _zipped(_tensor(-1, (-1,), (1,)), {"0": bytes(4)}),
    "no_record.pth": _zipped(_tensor(4, (2, 2), (2, 1)), {}),
    "nested.pth": _zipped(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".", {}),
    "long_number.pth": _zipped(b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1", {}),
    "cut.pth": lambda path: (_saved({"a": 1})(path), path.write_bytes(path.read_bytes()[:-40])),
    "list.pth": _saved([1, 2]),
    "numbers.pth": _saved({"0.weight": 3, 4: "x"}),
    "other_keys.pth": lambda path: _saved({"\x1b]0;title\x07": __import__("torch").zeros(2)})(path),
    "million_keys.pth": lambda path: _saved(dict.fromkeys(map(str, range(10**6)), 0))(path),
    "claims.safetensors": _safetensors(_entry([HUGE], [0, 4])),
    "length.safetensors": _safetensors("{}", 2**62),
    "nested.safetensors": _safetensors("[" * 100_000),
    "beyond.safetensors": _safetensors(_entry([2], [0, 2**60])),
    "overflow.safetensors": _safetensors(_entry([2**40, 2**40], [0, 4])),
    "type.safetensors": _safetensors(_entry([1], [0, 4], "F7"), content=bytes(4)),
    "twice.safetensors": _safetensors('{"a": {}, "a": {}}'),
    "pickle.safetensors": lambda path: path.write_bytes(pickle.dumps(RunsCode())),
    "zeros.safetensors": lambda path: path.write_bytes(bytes(10**6)),
    "not_a_number.safetensors": _safetensors(_entry([1], [0, 4]), content=np.float32("nan").tobytes()),
}
"""Files of weights, all of which are refused."""
