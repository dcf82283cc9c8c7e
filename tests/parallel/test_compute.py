from types import SimpleNamespace

import pytest
import torch

from groundup.config import Config, load_config
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.parallel import Compute, compute, decide_compute, describe_machine, machine, peak_memory_bytes

CPU = {"device.device": "cpu"}


@pytest.fixture(autouse=True)
def torch_as_before():
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(exact)


def decided(long_enough: bool = False, **settings) -> Compute:
    return decide_compute(
        load_config(None, {**CPU, **{key.replace("__", "."): v for key, v in settings.items()}}), long_enough
    )


def test_the_same_settings_are_decided_the_same():
    assert decided() == decided()
    assert set(decided().describe()) == {"device", "precision", "threads", "compiled", "attention", "deterministic"}


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_the_users_error(name):
    if {"cuda": torch.cuda, "mps": torch.backends.mps}[name].is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=name) as caught:
        decided(device__device=name)
    assert "auto" in caught.value.fix


def test_auto_always_finds_a_device():
    assert decide_compute(Config()).device.type in ("cuda", "mps", "cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_precision_asked_for_is_the_one_of_the_arithmetic(precision):
    made = decided(device__precision=precision)
    assert made.precision == getattr(torch, precision)
    assert made.scales_loss == (precision == "float16")
    assert made.describe()["precision"] == precision
    weights = torch.ones(4, 4)
    with made.autocast():
        assert (weights @ weights).dtype == made.precision
    assert weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("flags", "precision"), [({"avx2"}, "float32"), ({"avx512_bf16"}, "bfloat16"), (set(), "float32")]
)
def test_bfloat16_is_chosen_only_where_the_processor_computes_in_it(monkeypatch, flags, precision):
    monkeypatch.setattr(machine, "processor_flags", lambda: frozenset(flags))
    assert decided().precision == getattr(torch, precision)


def test_the_number_of_threads_is_obeyed_and_never_above_the_ceiling(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_cores() == 1
    assert decided(device__threads=64).threads == 1
    assert torch.get_num_threads() == 1
    for nonsense in ("", "0", "x", "-3"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert usable_cores() >= 1
    cores = usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "9999")
    assert usable_cores() == cores
    monkeypatch.setenv("OMP_NUM_THREADS", "1,4")
    assert usable_cores() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert decided(device__threads=1).threads == 1


@pytest.mark.parametrize(
    ("wanted", "long_enough", "compiled"),
    [("auto", False, False), ("auto", True, True), ("on", False, True), ("off", True, False)],
)
def test_long_runs_are_compiled_where_there_is_a_compiler(monkeypatch, wanted, long_enough, compiled):
    monkeypatch.setattr(compute.shutil, "which", lambda name: "/usr/bin/g++")
    assert decided(long_enough, device__compile=wanted).compiled is compiled
    monkeypatch.setattr(compute.shutil, "which", lambda name: None)
    made = decided(long_enough, device__compile=wanted)
    assert made.compiled is False
    assert bool(made.notices) is compiled


def test_what_is_not_compiled_is_the_function_itself():
    assert decided().compile(max) is max


@pytest.mark.parametrize(
    ("precision", "context", "attention"),
    [("bfloat16", 128, "manual"), ("bfloat16", 256, "manual"), ("bfloat16", 1024, "sdpa"), ("float32", 128, "sdpa")],
)
def test_the_attention_kernel_is_the_faster_one_at_that_length(precision, context, attention):
    assert decided(device__precision=precision, model__context=context).attention == attention


def test_the_machine_is_described_in_values_that_json_knows():
    facts = describe_machine()
    assert facts["cores"] >= 1 and facts["memory_bytes"] > 10**8 and facts["processor"]
    assert set(facts["versions"]) >= {"python", "groundup", "torch"}
    assert 10**7 < peak_memory_bytes() < 10**13


def test_on_a_gpu_compiling_needs_triton_and_a_c_compiler(monkeypatch):
    gpu, found = torch.device("cuda"), {"triton": object(), "gcc": "/usr/bin/gcc"}
    monkeypatch.setattr(compute, "find_spec", found.get)
    monkeypatch.setattr(compute.shutil, "which", found.get)
    assert compute._lacking_to_compile(gpu) is None
    assert "C++ compiler" in (compute._lacking_to_compile(torch.device("cpu")) or "")
    assert compute._lacking_to_compile(torch.device("mps")) is None
    del found["gcc"]
    assert "C compiler" in (compute._lacking_to_compile(gpu) or "")
    del found["triton"]
    assert "triton" in (compute._lacking_to_compile(gpu) or "")


def test_only_a_gpu_has_memory_of_its_own(monkeypatch):
    assert compute.accelerator_memory("cpu") is None
    card = SimpleNamespace(total_memory=141 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert compute.accelerator_memory("auto") == compute.accelerator_memory("cuda") == 141 * 10**9
    assert compute.accelerator_memory("cpu") is None


def test_new_tensors_are_not_filled_before_they_are_written():
    decided()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
    assert not decided().accelerated
