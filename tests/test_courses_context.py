"""What a course recipe is given: stages that survive an interruption, its data, its options, forecasts."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bare_stream import BareStream

import fastnn
from fastnn import courses, data, nn, optim, training
from fastnn.courses import context as context_module
from fastnn.courses import progress as progress_module
from fastnn.courses import recipe as recipe_module
from fastnn.training import load_state, save_state


# ---- stages ----------------------------------------------------------------------------------------------------------
class TwoStages:
    """A recipe that counts what it computes."""

    def __init__(self):
        self.calls, self.results = [], []

    def __call__(self, context):
        first = context.stage("first lr=0.1", self.first)
        second = context.stage("second", self.second)
        self.results.append((first, second, fastnn.random_state()))
        context.report.check("sum", 6.0, float(first["weights"].sum()), tolerance=1e-12)

    def first(self):
        self.calls.append("first")
        drawn = fastnn.nn.Linear(2, 2).weight.data
        return {"loss": np.float64(0.5), "weights": np.arange(4.0), "names": ["a"], "none": None, "drawn": drawn}

    def second(self):
        self.calls.append("second")
        return {"drawn": fastnn.nn.Linear(2, 2).weight.data}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


def test_stage_is_read_the_second_time_and_gives_the_same(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe)
    for _ in range(2):
        assert courses.run("toy", out="out", say=str).failed == []
    assert recipe.calls == ["first", "second"]
    (first, second, _), (first_again, second_again, _) = recipe.results
    assert same(first, first_again)
    assert same(second, second_again)
    assert not same(first["drawn"], second["drawn"])


def test_stage_does_not_depend_on_the_stages_before(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    next(Path("out/stages").glob("second*")).unlink()
    courses.run("toy", out="out", say=str)
    assert recipe.calls == ["first", "second", "second"]
    assert same(recipe.results[0][1], recipe.results[1][1])


def test_stage_leaves_the_generator_of_its_recipe_alone(new_recipe):
    states = []

    def recipe(context):
        states.append(fastnn.random_state())
        context.stage("draws", lambda: {"weights": fastnn.nn.Linear(2, 2).weight.data})
        states.append(fastnn.random_state())

    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    assert states[0] == states[1]


def test_stage_draws_from_the_seed_and_its_name(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe)
    for seed, folder in ((0, "a"), (0, "b"), (1, "c")):
        courses.run("toy", out=folder, seed=seed, say=str)
    first, again, other = (result[0]["drawn"] for result in recipe.results)
    assert (first == again).all()
    assert (first != other).all()


def test_stage_leaves_the_generator_of_the_program_alone(new_recipe):
    new_recipe(TwoStages())
    fastnn.manual_seed(5)
    courses.run("toy", out="out", say=str)
    drawn = fastnn.nn.Linear(2, 2).weight.data
    fastnn.manual_seed(5)
    np.testing.assert_array_equal(drawn, fastnn.nn.Linear(2, 2).weight.data)


@pytest.mark.parametrize("damage", ["short", "empty", "text", "other"])
def test_stage_that_is_damaged_runs_again(damage, new_recipe):
    recipe, said = TwoStages(), []
    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    (path,) = Path("out/stages").glob("first*")
    if damage == "other":
        fastnn.save({"a": np.zeros(1)}, path)
    else:
        content = path.read_bytes()
        path.write_bytes({"short": content[:-1], "empty": b"", "text": b"not a file of tensors" * 9}[damage])
    courses.run("toy", out="out", say=said.append)
    assert recipe.calls == ["first", "second", "first"]
    assert "first lr=0.1 is run again" in said[0]
    assert load_state(path, kind="stage")["settings"]["stage"] == "first lr=0.1"


@pytest.mark.parametrize("change", [{"seconds": "long"}, {"work": None}, {"result": ...}, {"work": ...}])
def test_stage_of_another_form_runs_again(change, new_recipe):
    recipe, said = TwoStages(), []
    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    (path,) = Path("out/stages").glob("first*")
    stored = {**load_state(path, kind="stage"), **change}
    save_state(path, {name: value for name, value in stored.items() if value is not ...}, kind="stage")
    courses.run("toy", out="out", say=said.append)
    assert recipe.calls == ["first", "second", "first"]
    assert "is damaged" in said[0]


@pytest.mark.parametrize("change", [{"quick": True}, {"seed": 1}, {"epochs": 3}, {"version": 2}])
def test_stage_of_other_settings_runs_again(change, new_recipe):
    recipe, said = TwoStages(), []
    new_recipe(recipe, options=("epochs",))
    courses.run("toy", out="out", epochs=2, say=str)
    change = {"epochs": 2, **change}
    if "version" in change:
        new_recipe(recipe, options=("epochs",), version=change.pop("version"))
    courses.run("toy", out="out", say=said.append, **change)
    assert recipe.calls == ["first", "second"] * 2
    assert "of other settings" in said[0]


def test_stage_is_read_whatever_the_drawing_options_are(new_recipe):
    recipe = TwoStages()
    new_recipe(recipe, options=("epochs", "image"), drawing_options=("image",))
    for image in (None, "a.png", "b.png", None):
        courses.run("toy", out="out", epochs=2, image=image, say=str)
    assert recipe.calls == ["first", "second"]
    courses.run("toy", out="out", epochs=3, image="a.png", say=str)
    assert recipe.calls == ["first", "second"] * 2
    settings = load_state(next(Path("out/stages").glob("first*")), kind="stage")["settings"]
    assert settings["options"] == {"epochs": "3"}
    assert "image a.png" in Path("out/report.md").read_text()


def test_stage_name_is_used_once(new_recipe):
    def twice(context):
        context.stage("a", lambda: 1)
        context.stage("a", lambda: 2)

    new_recipe(twice)
    with pytest.raises(ValueError, match="two stages 'a'"):
        courses.run("toy", out="out", say=str)


# ---- data ------------------------------------------------------------------------------------------------------------
class Batches(TwoStages):
    """The same on CIFAR-10."""

    def __call__(self, context):
        images = context.cifar10()
        assert [len(part) for part in images] == [50_000, 10_000]
        super().__call__(context)


@pytest.fixture
def cifar10_folder(new_recipe):
    """A folder with CIFAR-10 in its binary version, in which every image is black and of class 3."""
    folder = Path("images/cifar-10-batches-bin")
    folder.mkdir(parents=True)
    records = np.zeros((10_000, 3073), np.uint8)
    records[:, 0] = 3
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize(
    ("name", "place"), [("data_batch_1", 5), ("data_batch_3", 3073 * 9_999), ("test_batch", 3073 * 10_000 - 1)]
)
def test_stage_of_other_images_runs_again(name, place, new_recipe, cifar10_folder):
    """CIFAR10 reads a folder whose pixels or labels were changed, so stages have to tell the images apart."""
    recipe, said = Batches(), []
    new_recipe(recipe)
    for _ in range(2):
        courses.run("toy", out="out", data="images", say=str)
    assert recipe.calls == ["first", "second"]
    path = cifar10_folder / f"{name}.bin"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    courses.run("toy", out="out", data="images", say=said.append)
    assert recipe.calls == ["first", "second"] * 2
    assert "of other settings" in said[0]


@pytest.mark.skipif(not os.environ.get("FASTNN_DATA"), reason="FASTNN_DATA is not set")
def test_stage_of_the_official_images_has_the_settings_that_it_always_had(new_recipe):
    new_recipe(Batches())
    courses.run("toy", out="out", say=str)
    settings = load_state(next(Path("out/stages").glob("first*")), kind="stage")["settings"]
    assert settings == {
        "recipe": "toy", "version": 1, "fastnn": fastnn.__version__, "stage": "first lr=0.1", "quick": False,
        "seed": 0, "options": {},
    }  # fmt: skip


# ---- time ------------------------------------------------------------------------------------------------------------
def new_clock(monkeypatch):
    """A clock that recipes see; the test moves it."""
    clock = SimpleNamespace(now=0.0)
    for module in (context_module, progress_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_forecast_follows_from_the_first_steps(new_recipe, monkeypatch):
    clock = new_clock(monkeypatch)

    def recipe(context):
        context.forecast(1000, "images")
        for _ in context.progress(range(2), "epochs"):  # only the loop within counts
            for _ in context.progress([1, 2, 3], "steps", work=100):
                clock.now += 20

    new_recipe(recipe)
    said = []
    courses.run("toy", out="out", say=said.append)
    assert said == ["toy takes about 3 min 0 s more: 900 images at 5 a second"]
    metrics = json.loads(Path("out/metrics.json").read_text())["metrics"]
    assert metrics == {"seconds": 0.0}  # nothing was a stage


def test_forecast_counts_what_stored_stages_did(new_recipe, monkeypatch):
    clock = new_clock(monkeypatch)

    def recipe(context):
        context.forecast(100)

        def compute():
            for _ in context.progress(range(10), "steps", work=5):
                clock.now += 10
            return {}

        context.stage("one", compute)
        context.stage("two", compute)

    new_recipe(recipe)
    courses.run("toy", out="out", say=str)
    Path("out/stages/two.safetensors").unlink()
    said = []
    courses.run("toy", out="out", say=said.append)
    assert said == ["one: done before, 1 min 40 s", "toy takes about 1 min 30 s more: 45 steps at 0.5 a second"]
    assert json.loads(Path("out/metrics.json").read_text())["metrics"]["seconds"] == 200


def said_by(recipe, new_recipe, monkeypatch):
    """What a recipe says that gets a clock."""
    clock, said = new_clock(monkeypatch), []
    new_recipe(lambda context: recipe(context, clock))
    courses.run("toy", out="out", say=said.append)
    return said


@pytest.mark.parametrize(("steps", "said"), [(23, []), (24, ["toy takes about 20.0 s more: 20 epochs at 1 a second"])])
def test_forecast_of_less_than_twenty_seconds_is_not_worth_a_word(steps, said, new_recipe, monkeypatch):
    def recipe(context, clock):
        context.forecast(steps, "epochs")
        for _ in context.progress(range(steps), "steps"):
            clock.now += 1

    monkeypatch.setattr(progress_module, "_SECONDS_MEASURED", 4.0)
    assert said_by(recipe, new_recipe, monkeypatch) == said


def test_forecast_does_not_count_what_is_skipped(new_recipe, monkeypatch):
    def recipe(context, clock):
        context.forecast(100)
        context.skip(40)
        for _ in context.progress(range(60), "steps"):
            clock.now += 5

    assert said_by(recipe, new_recipe, monkeypatch) == ["toy takes about 4 min 55 s more: 59 steps at 0.2 a second"]


def test_forecast_counts_the_innermost_of_nested_loops_only(new_recipe, monkeypatch):
    def recipe(context, clock):
        context.forecast(40)
        for _ in context.progress(range(2), "outer", work=1000):
            for _ in context.progress(range(2), "inner", work=lambda index: 5 + 10 * index):
                clock.now += 50
        context.report.metric("done", context._done)

    assert said_by(recipe, new_recipe, monkeypatch) == ["toy takes about 5 min 50 s more: 35 steps at 0.1 a second"]
    assert json.loads(Path("out/metrics.json").read_text())["metrics"]["done"] == 40


# ---- what a recipe asks for ------------------------------------------------------------------------------------------
def test_find_looks_where_it_was_told_first(new_recipe, monkeypatch):
    for folder in ("a", "b"):
        Path(folder, "courses").mkdir(parents=True)
    Path("b/courses/x.npz").write_text("x")
    Path("b/courses/y.npz").write_text("b")
    Path("a/courses/y.npz").write_text("a")
    monkeypatch.setenv("FASTNN_DATA", "b")
    found = []
    new_recipe(lambda context: found.extend(context.find(f"courses/{name}.npz") for name in "xy"))
    courses.run("toy", out="out", data="a", say=str)
    assert found == [Path("b/courses/x.npz"), Path("a/courses/y.npz")]


def test_option_that_was_not_registered_is_a_mistake_of_the_recipe(new_recipe):
    new_recipe(lambda context: context.option("wings", 2))
    with pytest.raises(ValueError, match="registered without the option 'wings'"):
        courses.run("toy", out="out", say=str)


def test_recipe_names_are_unique(new_recipe):
    new_recipe(TwoStages())
    with pytest.raises(ValueError, match="two recipes 'toy'"):
        recipe_module.recipe("toy", course="", title="", about="")(TwoStages())


def test_drawing_option_is_an_option(new_recipe):
    with pytest.raises(ValueError, match=r"toy: the drawing options \('image',\) must be among the options"):
        new_recipe(TwoStages(), options=("epochs",), drawing_options=("image",))


# ---- surroundings ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [BareStream, lambda: None])
def test_progress_and_words_go_to_any_standard_error(make, new_recipe, monkeypatch, capsys):
    stream, seen = make(), []

    def recipe(context):
        seen.extend(context.progress(range(3), "steps"))
        context.say("something to tell")

    new_recipe(recipe)
    monkeypatch.setattr("sys.stderr", stream)
    courses.run("toy", out="out")
    assert seen == [0, 1, 2]
    assert capsys.readouterr().out == ""
    if stream is not None:
        assert stream.text == "something to tell\n"


def test_folder_of_a_user_that_does_not_exist_is_not_there(new_recipe):
    new_recipe(TwoStages())
    with pytest.raises(fastnn.data.DataNotFoundError, match="there is no folder ~nobody_of_this_name/data"):
        courses.run("toy", out="out", data="~nobody_of_this_name/data")


# ---- trainings -------------------------------------------------------------------------------------------------------
class Training:
    """A recipe with one training of three epochs of two steps, which may be stopped by an error."""

    def __init__(self, stop_at=None, **settings):
        self.stop_at, self.settings = stop_at, settings

    def __call__(self, context):
        context.forecast(6 * 5)
        self.context = context
        self.result = context.stage("one: training", lambda: self.compute(context))

    def compute(self, context):
        model = nn.Linear(4, 3)
        x = np.arange(32, dtype=np.float32).reshape(8, 4) / 32
        loader = data.Loader(x, np.arange(8) % 3, 4, shuffle=True, seed=context.seed)
        stop_at = self.stop_at

        class Stop(training.Callback):
            def on_step_begin(self, trainer):
                if trainer.step == stop_at:
                    raise RuntimeError("power cut")

        trainer = training.Trainer(
            model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[Stop()], progress=False
        )
        history = context.train("one: training", trainer, loader, 3, work=5)
        return {"losses": history["train_loss"], "weight": model.weight.data}


def test_train_continues_a_training_bit_for_bit_and_counts_its_work_once(new_recipe):
    whole, said = Training(), []
    new_recipe(whole)
    courses.run("toy", out="whole", say=str)
    new_recipe(Training(stop_at=3))
    with pytest.raises(RuntimeError, match="power cut"):
        courses.run("toy", out="cut", say=str)
    assert [path.name for path in Path("cut/stages").iterdir()] == ["one__training-unfinished"]
    again = Training()
    new_recipe(again)
    courses.run("toy", out="cut", say=said.append)
    assert said == ["one: training continues after step 2"]
    assert same(again.result, whole.result)
    assert again.context._done == whole.context._done == 30
    assert [path.name for path in Path("cut/stages").iterdir()] == ["one__training.safetensors"]


def test_train_begins_anew_with_other_settings(new_recipe):
    said = []
    new_recipe(Training(stop_at=3))
    with pytest.raises(RuntimeError, match="power cut"):
        courses.run("toy", out="cut", say=str)
    fresh, other = Training(), Training()
    new_recipe(fresh)
    courses.run("toy", out="fresh", seed=1, say=str)
    new_recipe(other)
    courses.run("toy", out="cut", seed=1, say=said.append)
    assert "one: training begins anew" in said[0]
    assert "seed was 0 and is 1" in said[0]
    assert same(other.result, fresh.result)
