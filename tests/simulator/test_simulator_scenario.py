"""Scenarios: steps run at their times, and impossible ones are errors before the start."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import virtual_time
from tests.configs import configured
from tests.virtual_time import VirtualLoop
from tonwatch.runtime.runtime import running
from tonwatch.simulator.network import Simulator
from tonwatch.simulator.scenarios.scenario import Scenario, Step, load, parse, play, shipped

STEPS = [
    {"at": "10s", "set": {"node-1": "lag:30", "provider-1": "throttle"}, "say": "trouble"},
    {"at": "1m", "clear": ["node-1"], "set": {"node-2": "refuse"}},
    {"at": "90s", "clear": "all"},
]


def read(tmp_path: Path, content: Any) -> Scenario:
    file = tmp_path / "mine.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load(str(file))


def faults(simulator: Simulator) -> dict[str, str]:
    return {
        each.name: " + ".join(map(str, each.faults)) for each in simulator.servers if each.faults
    }


class TestPlay:
    def test_the_steps_in_their_time(self) -> None:
        scenario = Scenario.model_validate({"steps": STEPS, "duration": "2m"})
        reported: list[tuple[int, str, dict[str, str]]] = []

        async def main(loop: VirtualLoop) -> int:
            async with scenario.simulator(clock=loop.wall) as simulator:
                began = loop.time()

                def report(text: str) -> None:
                    reported.append((round(loop.time() - began), text, faults(simulator)))

                await play(scenario, simulator, report=report)
                assert faults(simulator) == {}
                return round(loop.time() - began)

        assert virtual_time.run(main) == 120
        assert reported == [
            (10, "trouble", {"node-1": "lag:30", "provider-1": "throttle"}),
            (60, "node-1: cleared, node-2: refuse", {"node-2": "refuse", "provider-1": "throttle"}),
            (90, "all faults: cleared", {}),
        ]

    def test_faster(self) -> None:
        scenario = Scenario.model_validate({"steps": STEPS, "duration": "2m"})

        async def main(loop: VirtualLoop) -> float:
            async with scenario.simulator(clock=loop.wall) as simulator:
                began = loop.time()
                await play(scenario, simulator, pace=4)
                return loop.time() - began

        assert round(virtual_time.run(main)) == 30

    def test_without_a_duration_faults_stay(self) -> None:
        scenario = Scenario.model_validate({"steps": STEPS[:1]})

        async def main(loop: VirtualLoop) -> dict[str, str]:
            async with scenario.simulator(clock=loop.wall) as simulator:
                await play(scenario, simulator)
                return faults(simulator)

        assert virtual_time.run(main) == {"node-1": "lag:30", "provider-1": "throttle"}

    def test_several_faults_of_a_target(self) -> None:
        steps = [{"set": {"node-1": "lag:45 + slow:2"}}]
        scenario = Scenario.model_validate({"steps": steps})

        async def main(loop: VirtualLoop) -> dict[str, str]:
            async with scenario.simulator(clock=loop.wall) as simulator:
                await play(scenario, simulator)
                return faults(simulator)

        assert virtual_time.run(main) == {"node-1": "lag:45 + slow:2"}

    def test_a_fault_twice(self) -> None:
        steps = [{"set": {"node-1": "lag:45 + lag:2"}}]
        with pytest.raises(ValueError, match=r"steps\[0\]: lag is there twice"):
            Scenario.model_validate({"steps": steps}).simulator()


class TestFiles:
    def test_a_file_is_named_after_itself(self, tmp_path: Path) -> None:
        assert read(tmp_path, {"steps": STEPS}).name == "mine"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ({"stepps": []}, "mine.yaml: stepps: unknown key"),
            ({"steps": [{"att": "1s"}]}, "mine.yaml: steps[0].att: unknown key"),
            ({"steps": [{"at": 5}]}, "steps[0].at: write a duration with its unit, such as 5s"),
            ({"steps": [{"at": "9s"}, {"at": "8s"}]}, "steps[1].at: 8 s is before the step above"),
            ({"steps": [{"at": "9s"}], "duration": "8s"}, "duration: the last step comes later"),
            ({"network": {"liteservers": 0, "providers": 0}}, "network: at least one liteserver"),
            (
                {"network": {"providers": -1}},
                "network.providers: write how many, or a list of names",
            ),
            (
                {"network": {"providers": [{"name": "a", "kin": "b"}]}},
                "network.providers: write a server as its name, or as {name: NAME, kind: KIND}",
            ),
            ("steps: [", "mine.yaml:1: not YAML"),
            ("- 1", "mine.yaml: Input should be"),
            (
                "steps:\n- at: 1s\n  set: {node-1: lag}\n  set: {node-2: lag}",
                "mine.yaml:4: steps[0].set: this key is written twice, first on line 3",
            ),
        ],
    )
    def test_mistakes_are_named_with_their_place(
        self, tmp_path: Path, content: Any, words: str
    ) -> None:
        with pytest.raises(ValueError) as caught:
            read(tmp_path, content)
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("step", "words"),
        [
            ({"set": {"node-9": "lag"}}, "no target 'node-9'; targets are: chain, node-1"),
            ({"clear": ["node-9"]}, "no target 'node-9'; targets are: chain, node-1"),
            ({"set": {"node-1": "explode"}}, "no fault 'explode'"),
            ({"set": {"node-1": "lag:much"}}, "'much' is not a number"),
            ({"set": {"node-1": "bad_json"}}, "node-1 (liteserver) cannot bad_json"),
        ],
    )
    def test_impossible_steps_are_errors_before_the_start(
        self, step: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError) as caught:
            Scenario(name="mine", steps=(Step.model_validate(step),)).simulator()
        assert str(caught.value).startswith("mine: steps[0]: ")
        assert words in str(caught.value)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match="no file and no scenario 'nope'; scenarios are: bad-"):
            load("nope")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            load(str(tmp_path / "nope.yaml"))


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_can_be_played_to_its_end(name: str) -> None:
    scenario = load(name)
    assert scenario.description
    assert scenario.duration is not None
    assert all(step.say for step in scenario.steps)

    async def main(loop: VirtualLoop) -> dict[str, str]:
        async with scenario.simulator(clock=loop.wall) as simulator:
            await play(scenario, simulator)
            return faults(simulator)

    assert virtual_time.run(main) == {}


class TestTheNetwork:
    async def test_a_saved_configuration_works_for_the_next_run(self) -> None:
        first, second = Simulator(base_port=23_450), Simulator(base_port=23_450)
        assert first.config() == second.config()
        async with second:
            ports = [target.port for target in second.servers]
            assert ports == [23_450, 23_451, 23_452]
            assert second.config() == first.config()

    async def test_keys_differ_from_target_to_target_and_seed_to_seed(self) -> None:
        servers = [*Simulator().liteservers, *Simulator(seed="other").liteservers]
        assert len({server.public_key for server in servers}) == len(servers)

    async def test_external_targets_are_configured_as_such(self) -> None:
        async with Simulator(external=["node-2", "provider-1"]) as simulator:
            config = configured(simulator.config())
            async with running(config) as parts:
                records = parts.watcher.view.snapshot.records
                local = {name: record.target.local for name, record in records.items()}
        assert local == {"node-1": True, "node-2": False, "provider-1": False}

    def test_unknown_external_targets(self) -> None:
        with pytest.raises(ValueError, match="no target 'node-7'"):
            Simulator(external=["node-7"])


def test_a_parsed_part_keeps_its_source() -> None:
    with pytest.raises(ValueError, match=r"^here: at: write a duration"):
        parse(Step, {"at": "soon"}, "here")
