"""The compile switch."""

from __future__ import annotations

import pytest
import torch

from fgtune.config.schema.model import ModelConfig
from fgtune.errors import TrialError
from fgtune.models.classifier import build_classifier
from fgtune.models.teacher import EmaTeacher


def build(**parts):
    backbone = {"kind": "small_cnn", "channels": [4, 6]}
    return build_classifier(ModelConfig.from_plain({"backbone": backbone, **parts}), (3, 8, 8), 5, seed=0)


def test_compiling_without_a_compiler_is_a_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TrialError, match=r"model.compile needs a C\+\+ compiler, and none of g\+\+, c\+\+, clang"):
        build(compile=True)
    build(compile=False)


@pytest.mark.slow
def test_compiling_keeps_the_names_of_the_weights():
    assert list(build(compile=True).state_dict()) == list(build().state_dict())


@pytest.mark.long
def test_student_and_teacher_are_compiled_and_give_what_they_give_uncompiled():
    inputs = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = {}
    for switch in (False, True):
        model = build(compile=switch)
        teacher = EmaTeacher(model, 0.9, False, "shared")
        assert (model.backbone._compiled_call_impl is not None) == switch
        assert (teacher.model.backbone._compiled_call_impl is not None) == switch
        logits = model(inputs)
        logits.square().sum().backward()
        with torch.no_grad():
            outputs[switch] = [logits, teacher.model(inputs), model.eval()(inputs), model.head.linear.weight.grad]
        outputs[switch].append(model.backbone.layers[1].running_mean)
    for plain, compiled in zip(outputs[False], outputs[True], strict=True):
        torch.testing.assert_close(plain, compiled, atol=1e-4, rtol=1e-4)
