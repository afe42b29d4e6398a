import pytest

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.judge.noise import Noise


def test_no_noise_changes_nothing():
    assert Noise().felt([0.1, 0.9, 0.5], b"x") == (0.1, 0.9, 0.5)
    assert not any(Noise().fault(bytes([n]), 0) or Noise().spoils(bytes([n])) for n in range(100))


def test_errors_grow_with_the_scale_and_repeat_themselves():
    worth = [0.5, 1.0, 0.6, 0.4]
    right = []
    for swap in (0.0, 0.1, 0.3, 2.0):
        felt = [Noise(swap=swap).felt(worth, n.to_bytes(2, "big")) for n in range(400)]
        assert felt == [Noise(swap=swap).felt(worth, n.to_bytes(2, "big")) for n in range(400)]
        right.append(sum(max(each) == each[1] for each in felt))
    assert right[0] == 400 > right[1] > 370
    assert 370 > right[2] > right[3] > 100


def test_shares_are_kept_and_faults_pass():
    noise = Noise(timeout=0.2, server_error=0.3, malformed=0.4)
    requests = [n.to_bytes(2, "big") for n in range(1000)]
    faults = [noise.fault(each, 0) for each in requests]
    assert abs(faults.count("timeout") - 200) < 50
    assert abs(faults.count("server_error") - 300) < 60
    assert abs(sum(map(noise.spoils, requests)) - 400) < 60
    assert faults == [noise.fault(each, 0) for each in requests] != [noise.fault(each, 1) for each in requests]


@pytest.mark.parametrize("wrong", [{"malformed": 1.5}, {"swap": -1.0}, {"delay": float("nan")}])
def test_settings_that_cannot_be_meant(wrong):
    with pytest.raises(ToyboxError):
        Noise(**wrong)
