"""A person may say how many requests a second HCP gets, whatever the number of workers."""

from __future__ import annotations

import threading

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryTrouble
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.registry import HCPPacker
from packer_publisher.registry.pacing import Pace
from tests.switches import setting


class Watch:
    """A clock that moves only while somebody sleeps; it keeps when each sleeper went on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.began: list[float] = []

    def deadline(self, seconds: float = 60) -> Deadline:
        return Deadline(100.0 + seconds, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.began.append(self.now + seconds)


def test_requests_are_spaced_evenly() -> None:
    """The first goes at once, each other a tenth of a second after the one before."""
    watch, pace = Watch(), Pace(10.0)
    for _ in range(5):
        pace.wait(watch.deadline())
    assert [100.1, 100.2, 100.3, 100.4] == pytest.approx(watch.began)


def test_a_pause_is_not_caught_up_on() -> None:
    """After a quiet minute the next ones are spaced as before, not sent all at once."""
    watch, pace = Watch(), Pace(10.0)
    pace.wait(watch.deadline())
    watch.now += 60
    for _ in range(3):
        pace.wait(watch.deadline(seconds=120))
    assert [160.1, 160.2] == pytest.approx(watch.began)


def test_a_place_behind_the_deadline_is_trouble() -> None:
    """Nothing is sent, and the option that would help is named."""
    watch, pace = Watch(), Pace(0.1)
    pace.wait(watch.deadline())
    with pytest.raises(RegistryTrouble, match=r"no time is left to keep to 0\.1 requests a second") as caught:
        pace.wait(watch.deadline(seconds=5))
    assert "allow more with --rate" == caught.value.remedy


def test_all_threads_of_a_client_share_one_rate() -> None:
    """Four workers with two requests each take as long as one with eight."""
    with local_registry(RegistryModel(switches=setting())) as registry:
        client = HCPPacker.from_environment(registry.environment(), rate=40.0)
        with client:
            threads = [
                threading.Thread(target=lambda: [client.get_version("web", "a1", Deadline.after(30)) for _ in range(2)])
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        times = sorted(r.at for r in registry.requests.all() if r.operation == "GetVersion")
    assert 8 == len(times)
    assert (times[-1] - times[0]).total_seconds() > 0.8 * 7 / 40
