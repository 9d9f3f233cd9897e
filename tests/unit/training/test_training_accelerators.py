"""What is found is what is said, and what was insisted on and is absent is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import tensorflow as tf

from mobilebert.errors import UserError
from mobilebert.training import accelerators


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PCI bus in place of this machine's."""
    monkeypatch.setattr(accelerators, "PCI_DEVICES", tmp_path)
    return tmp_path


def plug(bus: Path, slot: str, vendor: str, device: str) -> None:
    (bus / slot).mkdir()
    (bus / slot / "vendor").write_text(vendor + "\n")
    (bus / slot / "device").write_text(device + "\n")


def test_tpu_chips_are_told_from_googles_network_and_disk_devices(bus: Path) -> None:
    plug(bus, "0000:00:04.0", "0x1ae0", "0x0063")
    plug(bus, "0000:00:05.0", "0x1ae0", "0x0063")
    plug(bus, "0000:00:06.0", "0x1ae0", "0x0042")
    plug(bus, "0000:00:07.0", "0x8086", "0x0063")
    assert accelerators.tpu_chips(bus) == ["v5e", "v5e"]


def test_descriptions_name_chips_and_cores() -> None:
    assert accelerators.tpu_description(8, "v5e") == "8 TPU v5e chips"
    assert accelerators.tpu_description(1, "v6e") == "1 TPU v6e chip"
    assert accelerators.tpu_description(8, "v3") == "8 TPU v3 cores"


def test_a_machine_without_accelerator_trains_on_its_cpu_and_says_so(
    bus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with caplog.at_level(logging.INFO):
        found = accelerators.find("auto")
    assert found.devices == 1
    assert caplog.records[-1].levelname == "WARNING"
    assert caplog.messages[-1] == f"no accelerator: training on {found.description}"
    assert found.description.startswith("CPU, ")
    assert found.environment == {"device": "CPU", "devices": 1, "tensorflow": tf.__version__}
    assert found.threads > 0


@pytest.mark.parametrize("kind", ["tpu", "gpu", "quantum"])
def test_an_accelerator_that_is_not_there_is_refused(bus: Path, kind: str) -> None:
    if kind == "gpu" and tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=f"training.accelerator: .*{kind}"):
        accelerators.find(kind)


def test_tpu_chips_without_a_tensorflow_for_them_are_named(
    bus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(bus, "0000:00:04.0", "0x1ae0", "0x0063")
    monkeypatch.setattr(accelerators.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="make install DEVICE=tpu"):
        accelerators.find("tpu")


def test_the_place_among_several_hosts_is_what_tf_config_says() -> None:
    told = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    assert accelerators.host_rank("") == (0, 1)
    assert accelerators.host_rank(json.dumps(told)) == (1, 2)
    for wrong in (
        "{",
        "[]",
        json.dumps(told | {"task": {"type": "worker", "index": 2}}),
        json.dumps(told | {"task": {"type": "ps", "index": 0}}),
    ):
        with pytest.raises(UserError, match="TF_CONFIG: expected"):
            accelerators.host_rank(wrong)


def test_only_the_first_host_writes_and_the_number_of_hosts_is_part_of_the_work() -> None:
    one, first, second = (
        accelerators.Accelerator(None, "", 2, host=host, hosts=hosts)
        for host, hosts in ((0, 1), (0, 2), (1, 2))
    )
    assert [each.chief for each in (one, first, second)] == [True, True, False]
    assert first.environment == second.environment != one.environment
