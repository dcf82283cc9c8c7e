"""The machine's peak: operations and bytes by the formula, the fastest of all."""

import pytest
import torch

from groundup.benchmarking import peak


def test_the_peak_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.5, 0.25, 4.0])
    monkeypatch.setattr(peak, "_fastest", lambda *_: next(seconds))
    assert peak.matrix_peak(torch.float32, 1.0, (2, 4, 8)) == 2 * 4**3 / 0.25
    monkeypatch.setattr(peak, "_fastest", lambda *_: 0.1)
    assert peak.copy_bandwidth(1.0) == 2 * peak.COPY_BYTES["cpu"] / 0.1


def test_every_round_tells_all_three() -> None:
    facts, work = peak.make({"sizes": [32, 64]})
    done = work(0.0)
    assert facts["threads"] == torch.get_num_threads()
    assert set(done) == {"float32", "bfloat16", "copy"}
    assert all(1e6 < figure < 1e15 for figure in done.values())
