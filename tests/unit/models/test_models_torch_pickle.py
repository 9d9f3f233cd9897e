"""torch judges: what it saves is read number for number without it, and a pickle that wants more is never
run.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mobilebert import models
from mobilebert.errors import UserError
from mobilebert.models.checkpoints import torch_pickle, weights

TINY = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
}


@pytest.fixture
def theirs() -> Any:
    """A BERT with MLM head, pooler and NSP head, random everywhere."""
    torch.manual_seed(0)
    made = transformers.BertForPreTraining(transformers.BertConfig(**TINY))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return made


def write(theirs: Any, folder: Path, **how: Any) -> Path:
    """pytorch_model.bin and config.json, as transformers wrote them for years."""
    folder.mkdir()
    theirs.config.save_pretrained(folder)
    torch.save(OrderedDict(theirs.state_dict()), folder / "pytorch_model.bin", **how)
    return folder


def assert_holds(model: models.Model, theirs: Any) -> None:
    state = theirs.state_dict()
    for name, variable in model.variables_by_name.items():
        value = state[name].numpy()
        np.testing.assert_array_equal(
            variable.numpy(), value.T if value.ndim == 2 and "embeddings" not in name else value, err_msg=name
        )
    for name in ("bert.pooler.dense.weight", "cls.seq_relationship.weight", "cls.seq_relationship.bias"):
        np.testing.assert_array_equal(model.carried[name], state[name].numpy())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "the form before torch 1.6"])
def test_both_forms_of_torch_are_read(zipped: bool, theirs: Any, tmp_path: Path) -> None:
    assert_holds(
        weights.load(write(theirs, tmp_path / "model", _use_new_zipfile_serialization=zipped)), theirs
    )


def test_shards_are_read_through_their_index(theirs: Any, tmp_path: Path) -> None:
    folder = write(theirs, tmp_path / "model")
    state = theirs.state_dict()
    where = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(state)}
    for shard in set(where.values()):
        torch.save({name: state[name] for name in state if where[name] == shard}, folder / shard)
    (folder / "pytorch_model.bin").unlink()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert_holds(weights.load(folder), theirs)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(UserError, match=r"of which pytorch_model-00002-of-00002\.bin are not there"):
        weights.load(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_views_short_types_and_parameters_are_read_as_torch_reads_them(zipped: bool, tmp_path: Path) -> None:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "whole": whole,
        "transposed": whole.T,
        "row": whole[2],
        "half": whole.half(),
        "short": whole.bfloat16(),
        "double": whole.double()[1:, ::2],
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(whole * 2),
        "count": torch.arange(3),
    }
    torch.save(tensors, tmp_path / "file.bin", _use_new_zipfile_serialization=zipped)
    found = torch_pickle.read(tmp_path / "file.bin")
    assert found.keys() == tensors.keys()
    for name, stored in found.items():
        wanted = tensors[name].detach()
        value = stored.read()
        if stored.dtype == "BF16":
            value = (value.astype(np.uint32) << 16).view(np.float32)
            wanted = wanted.float()
        np.testing.assert_array_equal(value, wanted.numpy(), err_msg=name)
        assert stored.shape == tuple(wanted.shape)


def test_a_trainings_checkpoint_gives_its_model(theirs: Any, tmp_path: Path) -> None:
    folder = write(theirs, tmp_path / "model")
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in theirs.state_dict().items()}},
        folder / "pytorch_model.bin",
    )
    assert_holds(weights.load(folder), theirs)


class Malicious:
    """Unpickling it writes a file: what `pickle.load` would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["zip", "stream", "plain"])
def test_a_pickle_that_is_not_tensors_is_never_executed(form: str, theirs: Any, tmp_path: Path) -> None:
    folder, trap = write(theirs, tmp_path / "model"), tmp_path / "executed"
    path, body = folder / "pytorch_model.bin", {"weight": torch.zeros(2), "more": Malicious(trap)}
    if form == "plain":
        path.write_bytes(pickle.dumps(Malicious(trap)))
    else:
        torch.save(body, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(
        UserError, match=r"pytorch_model\.bin: .* asks for (io|_io|builtins)\.open.*not executed"
    ):
        weights.load(folder)
    assert not trap.exists()
    if form == "plain":  # the trap is a real one
        pickle.loads(path.read_bytes())
        assert trap.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "numpy.load",
        "torch._utils._rebuild_sparse_tensor",
        "torch.nn.Module",
    ],
)
def test_no_other_name_is_admitted(name: str, tmp_path: Path) -> None:
    module, _, attribute = name.rpartition(".")
    (tmp_path / "file.bin").write_bytes(b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b")R.")
    with pytest.raises(torch_pickle.Refused, match=f"asks for {name}"):
        torch_pickle.read(tmp_path / "file.bin")


STATES = {
    "stride": {"stride": (1 << 30,)},
    "shape": {"shape": (1 << 30,)},
    "slot": (None, {"offset": 1 << 30}),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_tensor_cannot_be_changed_after_it_was_checked(state: Any, tmp_path: Path) -> None:
    """BUILD writes into an object that stands there: numbers beyond the storage would be read from foreign
    memory.
    """
    path = tmp_path / "file.bin"
    torch.save({"x": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    body = parts["file/data.pkl"]
    assert body.endswith(b"s.")
    build = pickle.dumps(state, 2)[2:-1] + b"b"
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, body[:-2] + build + b"s." if name.endswith("data.pkl") else part)
    with pytest.raises(torch_pickle.Refused, match="not a whole torch file"):
        torch_pickle.read(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 3, 500, 0.5, -1])
def test_a_cut_file_is_refused(zipped: bool, keep: float, theirs: Any, tmp_path: Path) -> None:
    folder = write(theirs, tmp_path / "model", _use_new_zipfile_serialization=zipped)
    data = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else int(keep)])
    with pytest.raises(
        UserError, match=r"pytorch_model\.bin: (an empty file|not a whole torch file|cut off or damaged)"
    ):
        weights.load(folder)


def test_a_tensor_beyond_its_storage_and_flipped_bits_are_refused(theirs: Any, tmp_path: Path) -> None:
    folder = write(theirs, tmp_path / "model")
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("pytorch_model/data/3").header_offset
    data = bytearray(path.read_bytes())
    data[place + 300] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"cannot be read, the file is damaged"):
        weights.load(folder)
    torch.save({"x": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(
                name, part.replace(b"K\x03\x85", b"K\x63\x85") if name.endswith("data.pkl") else part
            )
    with pytest.raises(torch_pickle.Refused, match=r"reaches beyond its storage"):
        torch_pickle.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_what_a_file_really_is_is_said(
    name: str, content: bytes, message: str, theirs: Any, tmp_path: Path
) -> None:
    folder = write(theirs, tmp_path / "model")
    (folder / "pytorch_model.bin").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: .*{message}"):
        weights.load(folder)


def test_a_conversion_of_2019_is_read_with_its_bert_config(
    theirs: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    """bert_config.json beside a pickle in the old form, with gamma and beta: what the Chinese BERTs were
    first released as.
    """
    folder = tmp_path / "model"
    folder.mkdir()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in theirs.state_dict().items()
    }
    torch.save(old, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    config = TINY | {
        "hidden_act": "gelu",
        "type_vocab_size": 2,
        "directionality": "bidi",
        "pooler_type": "first_token_transform",
    }
    (folder / "bert_config.json").write_text(json.dumps(config))
    model = weights.load(folder)
    assert_holds(model, theirs)
    assert model.config.hidden_act == "gelu_new"
    assert_holds(weights.load(saved(model)), theirs)


def test_reading_needs_no_torch(theirs: Any, tmp_path: Path) -> None:
    folder = write(theirs, tmp_path / "model")
    code = (
        "import sys; from pathlib import Path; from mobilebert.models.checkpoints.tensor_files import "
        "torch_pickle; "
        f"assert torch_pickle.read(Path({str(folder / 'pytorch_model.bin')!r})); assert 'torch' not in "
        f"sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
