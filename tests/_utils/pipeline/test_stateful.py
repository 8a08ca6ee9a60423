"""Publishing, using, pinning and reusing in any order, against a model of them in memory.

The model is the list of finished runs, in the order of their ends, with what they published and,
if they ran a component, what its result depends on. From it follows what `latest` is, what a use of
any version gives, and whether a component runs, why, or which run serves again.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from _utils.artifacts import log_artifact, use_artifact
from _utils.artifacts.index import find_artifact
from _utils.errors import UserError
from _utils.pipeline import mentions, plan, reuse, sources

UNUSED, USED, SCRIPT = "_utils/unused.py", "_utils/used.py", "component/run.py"
EDITABLE = {  # in the order in which a plan tells of changes; the first ones are there at the start
    UNUSED: ["value = 1\n", "value = 2\n"],
    USED: ["value = 1\n", "value = 2\n"],
    "component/MLproject": ["conda_env: conda.yml\nentry_points: {main: {command: python run.py}}"],
    "component/conda.yml": ["dependencies: [pip]\n", "dependencies: []\n"],
    SCRIPT: ["import _utils.used\n", "from _utils.used import value\n", "print('uses nothing')\n"],
    " n ": ["1", "2"],  # a parameter
    " x_artifact ": ["x", "x", "y", "z"],  # the input; y and z are what the component makes
}
EDITS = st.sampled_from([(part, value) for part, values in EDITABLE.items() for value in values])
PLACES, AGES = st.sampled_from([0, 1]), st.integers(-3, -1)  # experiments; outputs by their age
CUTS = st.sampled_from([slice(None), slice(None, None, -1), slice(1), slice(0)])
CONTENTS = st.sampled_from([b"one", b"two", b"three"])
ENDS = st.sampled_from(["FINISHED", "FINISHED", "FAILED", "KILLED", "RUNNING"])


@dataclass
class Output:  # an artifact
    name: str
    version: str
    path: Path
    content: bytes
    left: bytes  # what is at its path now; empty if nothing is there


@dataclass
class Ran:  # a run
    id: str
    place: int
    outputs: dict[str, Output]
    key: dict | None = None  # what its result depends on, if it was made reusable


class Pipelines(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.patch, self.client = pytest.MonkeyPatch(), MlflowClient()
        self.temporary = TemporaryDirectory()
        self.src = Path(self.temporary.name) / "src"
        self.experiments = [self.client.create_experiment(f"{self.src} {n}") for n in range(2)]
        self.names = {letter: f"{letter}-{self.src.parent.name}" for letter in "xyz"}  # not shared
        self.finished, self.running, self.outputs, self.now = [], [], [], {}
        for part, values in EDITABLE.items():
            self.edit(part, values[0])
        for place in (0, 1, 1):
            self.publish(place, "x", b"one", "FINISHED")

    def teardown(self):
        self.patch.undo()
        self.temporary.cleanup()

    @rule(place=PLACES, name=st.sampled_from("xyz"), content=CONTENTS, status=ENDS)
    def publish(self, place, name, content, status):
        self.end(self.start(place), status, {self.names[name]: content})

    @precondition(lambda self: self.running)
    @rule(status=st.sampled_from(["FINISHED", "FINISHED", "KILLED"]))
    def end_the_oldest_that_is_running(self, status):
        run = self.running.pop(0)
        self.end(run, status, {})
        for name in run.outputs:
            self.can_use(self.start(run.place), name, "latest")

    @rule(place=PLACES, age=AGES, version=st.sampled_from([None, "latest", "0" * 12]), cut=CUTS)
    def damage_and_use(self, place, age, version, cut):
        """Leave of an artifact all, as many other bytes (only a use notices), fewer or none."""
        output = self.outputs[age]
        output.left = output.content[cut]
        output.path.write_bytes(output.left)
        if not output.left:
            output.path.unlink()
        self.can_use(self.start(place), output.name, version or output.version)
        self.run(place)

    @rule(place=PLACES, edit=EDITS)
    def edit_and_run(self, place, edit):
        self.edit(*edit)
        self.run(place)

    @rule(place=PLACES, status=ENDS, kept=st.booleans(), must=st.sampled_from(["", "asked for"]))
    def run_twice(self, place, status, kept, must):
        self.run(place, status, kept, must)
        self.run(place, must=must)

    def run(self, place, status="FINISHED", kept=True, must=""):
        """What a pipeline does with a component; not `kept`: killed before make_reusable()."""
        experiment, name = self.experiments[place], self.names[self.now[" x_artifact "]]
        parameters = {"n": self.now[" n "], "x_artifact": f"{name}:latest"}
        parameters |= {f"{letter}_artifact": self.names[letter] for letter in "yz"}
        planned = plan.Component("component", self.src / "component", parameters, must)
        (component,), faults = plan.pin_inputs_from_outside([planned], experiment)
        latest = self.published(name, "latest", place)
        assert bool(faults) == (latest is None)
        if faults:
            return
        assert component == planned.pinned({f"{name}:latest": latest.version})
        # In production a process makes one plan; this one makes many, of files that change.
        sources.sources_of.cache_clear()
        mentions.mentions_of.cache_clear()
        cache_key = reuse.cache_key(component)
        found, reasons = reuse.decide(component, cache_key, experiment)
        key = self.now | {UNUSED: None, " x_artifact ": f"{name}:{latest.version}"}
        key[USED] = key[USED] if "_utils.used" in key[SCRIPT] else None
        made = {self.names[letter]: repr([letter, key]).encode() for letter in "yz"}
        same = [ran for ran in self.finished if ran.key == key]  # the newest is the last
        whole = [r for r in same if all(len(o.left) == len(o.content) for o in r.outputs.values())]
        assert (found and found.info.run_id) == (whole[-1].id if whole else None)
        keys = [ran.key for ran in self.finished if ran.key and ran.place == place]
        changed = [part for part in key if keys and key[part] != keys[-1][part]]
        why = [must] if must else [] if whole else changed or ["are gone" if keys else "never ran"]
        assert all(part in told for part, told in zip(why, reasons, strict=True))
        if not why:
            reused = reuse.record_reuse(component, found, self.client.create_run(experiment))
            self.finished.append(Ran(reused, place, whole[-1].outputs))
            digests = [find_artifact(each, "latest", experiment).digest for each in made]
            assert digests == [sha256(content).hexdigest() for content in made.values()]
            return
        run = self.start(place)
        used = self.can_use(run, name, latest.version)
        self.end(run, status if used else "FAILED", made if used else {})
        if used and kept:  # whatever the status: only one that is FINISHED may serve again
            reuse.make_reusable(run.id, cache_key)
            run.key = key

    def edit(self, part, value):
        self.now[part] = value
        if "/" in part:
            (self.src / part).parent.mkdir(parents=True, exist_ok=True)
            (self.src / part).write_text(value)

    def start(self, place):
        run = self.client.create_run(self.experiments[place], run_name="component")
        self.patch.setenv("MLFLOW_RUN_ID", run.info.run_id)  # as MLflow tells a component its run
        return Ran(run.info.run_id, place, {})

    def end(self, run, status, made):
        """Publish what the run made, and give it this status."""
        for name, content in made.items():
            (self.src / name).write_bytes(content)
            artifact = log_artifact(self.src / name, type="any")
            assert artifact.digest == sha256(content).hexdigest()
            path = Path(local_file_uri_to_path(artifact.uri))
            run.outputs[name] = Output(name, artifact.version, path, content, content)
            self.outputs.append(run.outputs[name])
        if status != "RUNNING":
            self.client.set_terminated(run.id, status)
        {"FINISHED": self.finished, "RUNNING": self.running}.get(status, []).append(run)

    def published(self, name, version, place):
        """The newest: for `latest` of those in the experiment, else of all with this content."""
        made = [(ran, ran.outputs[name]) for ran in self.finished if name in ran.outputs]
        fit = [o for ran, o in made if version in (o.version, ran.place == place and "latest")]
        return fit[-1] if fit else None

    def can_use(self, run, name, version):
        """Use an artifact: that gives what was published, or is refused."""
        output, reference = self.published(name, version, run.place), f"{name}:{version}"
        outputs = [ran.outputs[name] for ran in self.finished if name in ran.outputs]
        copies = [each for each in outputs if output and each.version == output.version]
        if good := [each.path for each in copies if each.left == each.content]:
            path = use_artifact(reference)  # of a local store it is the published file itself
            assert path in good and path.read_bytes() == output.content
            assert self.client.get_run(run.id).data.tags[f"input.{name}"] == output.version
            return True

        def fault(copy):
            digests = (sha256(each).hexdigest() for each in (copy.content, copy.left))
            return ".*".join(digests) if copy.left else "is gone"

        told = "(?s)" + ("|".join(map(fault, copies)) or "was never published")
        with pytest.raises(UserError, match=told):
            use_artifact(reference)
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_store")
class TestPipelines(Pipelines.TestCase):
    settings = settings(
        Pipelines.TestCase.settings,
        max_examples=12,
        stateful_step_count=15,
        derandomize=True,
        # A failing example is not made smaller: that takes longer than a test may
        phases=[Phase.generate],
    )
