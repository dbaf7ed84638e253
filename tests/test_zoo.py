"""RL Zoo as published, run from anywhere, with the installed wheel and not the checkout."""

import argparse
import inspect
import pkgutil
import re
import warnings
from pathlib import Path

import optuna
import pytest
import yaml
from helpers.processes import make_once, run_python
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FixedTrial, TrialState
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.hyperparams_opt import HYPERPARAMS_SAMPLER
from torch import nn

from sb3_fpac import FPAC, FeaturePointExtractor, FPACPolicy, FPACTQCPolicy, fpac_fast, fpac_hyperparams, fpac_kwargs
from sb3_fpac.callbacks import LearningRateDrop
from sb3_fpac.envs import TASKS
from sb3_fpac.zoo.sampler import convert_fpac_params, sample_fpac_params
from sb3_fpac.zoo.trials import SampledOnTop, merged

PROJECT = Path(__file__).parents[1]
TINY = ["--env-kwargs", "time_limit:0.4", "size:32", "-params", "learning_starts:30", "batch_size:8", "buffer_size:200"]
TINY_FPAC = [*TINY, "compile:False"]
PRESET_EXTRACTOR = fpac_fast["policy_kwargs"]["features_extractor_kwargs"]
CHEETAH = ["--env", "dmc-cheetah-run"]
SHOW_POINTS = "callback:[{'sb3_fpac.callbacks.FeaturePointCallback': {'freq': 30, 'max_steps': 4}}]"


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A folder into which the wheel is installed"""

    def install(site: Path) -> None:
        wheels = tmp_path_factory.mktemp("wheels")
        run_python("-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, PROJECT)
        run_python("-m", "pip", "--quiet", "install", "--no-deps", "--target", site, *wheels.glob("*.whl"))

    return make_once(tmp_path_factory, "site", install)


TRAIN = ["-m", "rl_zoo3.train", "--algo"]


def run(site: Path, folder: Path, *arguments: str, expect: int = 0) -> str:
    """What Python prints, started in a folder that knows nothing of the checkout"""
    done = run_python(*arguments, cwd=folder, expect=expect, PYTHONPATH=str(site), OMP_NUM_THREADS="1")
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_is_what_runs(installed, tmp_path):
    program = "import sb3_fpac, custom_envs; print(sb3_fpac.__file__); print(custom_envs.__file__)"
    output = run(installed, tmp_path, "-c", program)
    assert [Path(line).parent for line in output.splitlines()[-2:]] == [installed / "sb3_fpac", installed]


@pytest.mark.slow
@pytest.mark.parametrize("algo, tiny", [("sac", TINY), ("fpac", TINY_FPAC)])
def test_train_enjoy_record_video_watch_and_report(installed, tmp_path, algo, tiny):
    options = ["-n", "60", "--eval-freq", "30", "--eval-episodes", "1", "--save-freq", "30", "-tb", "tb", "-P", "--seed", "1"]
    output = run(installed, tmp_path, *TRAIN, algo, *CHEETAH, *options, *tiny, SHOW_POINTS, "--vec-env", "subproc")
    logs = tmp_path / "logs" / algo / "dmc-cheetah-run_1"
    assert f"Loading hyperparameters from: {installed / 'sb3_fpac' / 'zoo_configs' / algo}.yml" in output
    assert "Eval num_timesteps=60" in output and "n_updates" in output
    for file in ("dmc-cheetah-run.zip", "best_model.zip", "evaluations.npz", "rl_model_30_steps.zip", "0.monitor.csv"):
        assert (logs / file).stat().st_size > 0
    assert len(list((logs / "feature_points").glob("*.mp4"))) == len(list((logs / "feature_points").glob("*.png"))) == 2
    assert list((tmp_path / "tb").rglob("events*"))

    agent = ["--algo", algo, *CHEETAH, "-f", "logs"]
    output = run(installed, tmp_path, "-m", "rl_zoo3.enjoy", *agent, "--no-render", "-n", "25")
    assert "2 Episodes" in output and "Mean reward" in output

    if algo == "sac":  # what follows does not depend on the algorithm
        return
    output = run(installed, tmp_path, "-m", "rl_zoo3.record_video", *agent, "-n", "10")
    assert "not available" not in output
    (video,) = (logs / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000

    output = run(installed, tmp_path, "-m", "sb3_fpac", "watch", *agent, "-o", "agent.mp4", "--top", "3", "--load-best")
    assert "agent.mp4: 1 episode with a return of" in output
    assert (tmp_path / "agent.mp4").stat().st_size > 1000
    output = run(installed, tmp_path, "-m", "sb3_fpac", "report", str(logs), "-o", "report.html")
    assert "report.html: 1 run" in output and "<video" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_tqc_and_a_yaml_of_ones_own(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "tqc", *CHEETAH, "-n", "40", "--eval-freq", "-1", *TINY)
    assert str(installed / "sb3_fpac" / "zoo_configs" / "tqc.yml") in output

    own = dict(policy="CnnPolicy", n_timesteps=20, buffer_size=100, learning_starts=10, policy_kwargs="dict(net_arch=[16])")
    (tmp_path / "own.yml").write_text(yaml.safe_dump({"dmc-cheetah-run": own}))
    options = ["-conf", "own.yml", "--eval-freq", "-1", "--env-kwargs", "size:48", "time_limit:0.4"]
    output = run(installed, tmp_path, *TRAIN, "sac", *CHEETAH, *options)
    assert "Loading hyperparameters from: own.yml" in output and "('policy', 'CnnPolicy')" in output


@pytest.mark.slow
def test_the_python_file_of_the_documentation_trains_another_algorithm(installed, tmp_path):
    (file,) = re.findall(r"```python\n(# ppo_points\.py\n.*?)```", (PROJECT / "docs" / "zoo.md").read_text(), re.DOTALL)
    (tmp_path / "ppo_points.py").write_text(file)
    tiny = ["--env-kwargs", "time_limit:0.4", "size:32", "-params", "n_steps:8", "batch_size:8", "n_epochs:1"]
    options = ["-conf", "ppo_points.py", "-n", "32", "--eval-freq", "8", "--eval-episodes", "1"]
    output = run(installed, tmp_path, *TRAIN, "ppo", *CHEETAH, *options, *tiny)
    assert "2 RGB frames of 32×32, camera shift, 32 points, 192 features" in output
    watch = ["watch", "--algo", "ppo", *CHEETAH, "-f", "logs", "-o", "agent.gif", "--max-steps", "3"]
    assert "agent.gif: 1 episode" in run(installed, tmp_path, "-m", "sb3_fpac", *watch)
    report = ["report", "logs/ppo/dmc-cheetah-run_1", "-o", "report.html"]
    assert "report.html: 1 run" in run(installed, tmp_path, "-m", "sb3_fpac", *report)


@pytest.mark.slow
def test_other_ids_are_not_affected(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "sac", "--env", "Pendulum-v1", "-n", "5", "--eval-freq", "-1")
    (line,) = [line for line in output.splitlines() if line.startswith("Loading hyperparameters from:")]
    assert line.endswith("rl_zoo3/hyperparams/sac.yml")


@pytest.mark.slow
def test_an_algorithm_without_hyperparameters_is_refused(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "ppo", *CHEETAH, "-n", "5", expect=1)
    assert "sb3-fpac has hyperparameters for fpac, fpac_fast, sac and tqc, not for ppo" in output
    assert not (tmp_path / "logs").exists()


@pytest.mark.slow
def test_fpac_takes_any_id_and_refuses_what_is_no_image(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "fpac", "--env", "Pendulum-v1", "-n", "5", expect=1)
    assert str(installed / "sb3_fpac" / "zoo_configs" / "fpac.yml") in output and "Using 'default' hyperparameters" in output
    assert "FPAC learns from one stack of images" in output


WATCH_AND_GO_ON = """
import numpy as np, torch as th
from gymnasium import spaces
from gymnasium.envs.classic_control import PendulumEnv
import rl_zoo3.import_envs
from rl_zoo3 import ALGOS
from sb3_fpac import FPAC
from stable_baselines3.common.vec_env import DummyVecEnv

class Images(PendulumEnv):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (6, 16, 16), np.uint8)

env = DummyVecEnv([Images])
kwargs = dict(policy_kwargs=dict(net_arch=[4]), buffer_size=77, replay_buffer_kwargs=dict(handle_timeout_termination=False))
model = FPAC("CnnPolicy", env, **kwargs)
model.save("model.zip")
for options in (dict(), dict(env=env), dict(env=env, tensorboard_log=None, verbose=1)):
    loaded = ALGOS["fpac"].load("model.zip", seed=0, **options)
    same = all(th.equal(a, b) for a, b in zip(loaded.policy.parameters(), model.policy.parameters(), strict=True))
    print(isinstance(loaded, FPAC), same, loaded.replay_buffer.buffer_size, loaded.replay_buffer.handle_timeout_termination)
"""


@pytest.mark.slow
def test_watching_an_fpac_agent_needs_no_replay_buffer_and_training_on_does(installed, tmp_path):
    output = run(installed, tmp_path, "-c", WATCH_AND_GO_ON)
    lines = [line for line in output.splitlines() if line.startswith("True")]  # verbose=1 prints what the images are, too
    assert lines == ["True True 1 True", "True True 1 True", "True True 77 False"]


def test_table_i_lies_within_what_optimize_tries():
    table_i = dict(tau=0.01, policy_delay=2, n_steps=1)
    drawn = dict(**table_i, initial_ent_coef=0.1, n_points_pow=5, temperature=0.5)
    defaults = {name: parameter.default for name, parameter in inspect.signature(FPAC).parameters.items()}
    extractor_defaults = inspect.signature(FeaturePointExtractor).parameters
    for learning_rate in (3e-4, 1e-3):  # the second one for Reacher
        trial = FixedTrial({**drawn, "learning_rate": learning_rate})  # warns of what lies outside
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            hyperparams = sample_fpac_params(trial, n_actions=1, n_envs=1, additional_args={})
        extractor_kwargs = hyperparams.pop("policy_kwargs")["features_extractor_kwargs"]
        assert extractor_kwargs == {name: extractor_defaults[name].default for name in ("n_points", "temperature")}
        assert hyperparams.pop("learning_rate") == learning_rate
        assert hyperparams == {name: defaults[name] for name in (*table_i, "ent_coef")}


def test_the_search_reaches_the_presets_values():
    preset = {**fpac_fast, **PRESET_EXTRACTOR}
    drawn = dict(tau=0.01, policy_delay=2, initial_ent_coef=0.1, n_points_pow=5)
    drawn |= {name: preset[name] for name in ("n_steps", "learning_rate", "temperature")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of values that are not tried
        sampled = sample_fpac_params(FixedTrial(drawn), n_actions=1, n_envs=1, additional_args={})
    reached = {**sampled, **sampled["policy_kwargs"]["features_extractor_kwargs"]}
    assert all(reached[name] == preset[name] for name in ("n_steps", "learning_rate", "temperature"))


def read_by_rl_zoo(folder, algo, entry, **kwargs):
    """The hyperparameters that RL Zoo reads from a YAML of one's own"""
    (folder / "own.yml").write_text(yaml.safe_dump({"dmc-cheetah-run": entry}))
    args = argparse.Namespace(num_threads=-1)
    manager = ExperimentManager(args, algo, "dmc-cheetah-run", str(folder), config=str(folder / "own.yml"), **kwargs)
    return manager, *manager.read_hyperparameters()


@pytest.mark.parametrize("as_text", [False, True])
def test_a_yaml_of_ones_own_lies_above_the_preset(tmp_path, capsys, as_text):
    policy_kwargs = "dict(net_arch=[16])" if as_text else dict(net_arch=[16], features_extractor_kwargs=dict(n_points=8))
    entry = dict(policy="CnnPolicy", n_timesteps=20, n_steps=5, policy_kwargs=policy_kwargs)
    _, hyperparams, saved = read_by_rl_zoo(tmp_path, "fpac_fast", entry, hyperparams=dict(tau=0.02))
    used = hyperparams["policy_kwargs"]
    assert used.pop("features_extractor_kwargs") == {**PRESET_EXTRACTOR, **({} if as_text else dict(n_points=8))}
    assert used == dict(net_arch=[16], layer_norm=True)
    assert (hyperparams["learning_rate"], hyperparams["n_steps"], hyperparams["tau"]) == (1e-3, 5, 0.02)
    assert saved["n_steps"] == 5 and saved["learning_rate"] == 1e-3 and saved["batch_size"] == 128
    assert "Merged with those of the preset: {'learning_rate': 0.001" in capsys.readouterr().out
    assert fpac_fast["policy_kwargs"]["net_arch"] == [256, 256]

    _, of_paper, _ = read_by_rl_zoo(tmp_path, "fpac", entry)
    assert of_paper == entry


def test_trials_of_the_preset_vary_nothing_else_of_it():
    drawn = dict(
        learning_rate=1e-3, tau=0.01, initial_ent_coef=0.1, n_points_pow=4, temperature=0.2, policy_delay=1, n_steps=2
    )
    trial = SampledOnTop(fpac_fast, fixed={}).copy()
    trial.update(convert_fpac_params(drawn))
    of_extractor = {**PRESET_EXTRACTOR, "n_points": 16, "temperature": 0.2}
    assert trial["policy_kwargs"] == {**fpac_fast["policy_kwargs"], "features_extractor_kwargs": of_extractor}
    assert HYPERPARAMS_SAMPLER["fpac_fast"] is sample_fpac_params


def test_trials_keep_what_describes_the_images_and_what_params_says():
    yaml_kwargs = dict(net_arch=[16], features_extractor_kwargs=dict(frame_channels=1, n_points=8))
    of_yaml = dict(policy="CnnPolicy", policy_kwargs=yaml_kwargs, replay_buffer_kwargs=dict(frame_channels=1), tau=0.5)
    sampled = convert_fpac_params(
        dict(learning_rate=1e-3, tau=0.01, initial_ent_coef=0.1, n_points_pow=4, temperature=0.2, policy_delay=1, n_steps=2)
    )
    trial = SampledOnTop(of_yaml, fixed=dict(tau=0.5)).copy()
    trial.update(sampled)
    extractor_kwargs = dict(frame_channels=1, n_points=16, temperature=0.2)
    assert trial["policy_kwargs"] == dict(net_arch=[16], features_extractor_kwargs=extractor_kwargs)
    assert trial["replay_buffer_kwargs"] == dict(frame_channels=1)
    assert (trial["tau"], trial["learning_rate"], trial["n_steps"]) == (0.5, 1e-3, 2)
    assert of_yaml["policy_kwargs"] is yaml_kwargs and yaml_kwargs["features_extractor_kwargs"]["n_points"] == 8


def test_keyword_arguments_may_be_strings_as_in_rl_zoos_yaml():
    below = dict(policy_kwargs="dict(activation_fn=nn.ReLU, net_arch=[64])", policy="MlpPolicy")
    assert merged(below, dict(policy_kwargs=dict(net_arch=[8]))) == dict(
        policy_kwargs=dict(activation_fn=nn.ReLU, net_arch=[8]), policy="MlpPolicy"
    )


SAYS_ITS_LAYOUT = """
from sb3_fpac.zoo import ZooFPAC

setup = ZooFPAC._setup_model

def setup_and_say(self):
    setup(self)
    extractor = self.policy.features_extractor
    print("LAYOUT", extractor.layout, "| points", extractor.n_points, "| batch", self.batch_size)

ZooFPAC._setup_model = setup_and_say
"""


@pytest.mark.slow
def test_optimize_and_trial_id_keep_the_layout_of_the_images(installed, tmp_path):
    own = dict(
        policy="CnnPolicy",
        n_timesteps=30,
        buffer_size=100,
        learning_starts=10,
        batch_size=4,
        compile=False,
        env_kwargs=dict(size=32, time_limit=0.4),
        policy_kwargs=dict(net_arch=[8], features_extractor_kwargs=dict(frame_channels=6, camera_shift=False, n_points=5)),
    )
    (tmp_path / "own.yml").write_text(yaml.safe_dump({"dmc-cartpole-swingup": own}))
    (tmp_path / "custom_envs.py").write_text(SAYS_ITS_LAYOUT)
    train = [*TRAIN, "fpac", "--env", "dmc-cartpole-swingup", "-conf", "own.yml", "-params", "batch_size:6"]
    study = ["--storage", "sqlite:///study.db", "--study-name", "grey"]
    optimize = ["-optimize", "--n-trials", "2", "--n-startup-trials", "0", "--n-evaluations", "1", "--eval-episodes", "1"]
    output = run(installed, tmp_path, *train, *study, *optimize)
    assert output.count("Fixed by -params, whatever a trial prints as sampled: {'batch_size': 6}") == 1
    assert output.count("LAYOUT 1 6-channel frame of 32×32 | points") == 2 and output.count("| batch 6") == 2
    output = run(installed, tmp_path, *train, *study, "--trial-id", "1", "--eval-freq", "-1", "-n", "20")
    trials = optuna.load_study(storage=f"sqlite:///{tmp_path}/study.db", study_name="grey").trials
    n_points = 2 ** trials[1].params["n_points_pow"]
    assert f"LAYOUT 1 6-channel frame of 32×32 | points {n_points} | batch 6" in output


DIVERGES_AT_FIRST = """
from itertools import count
from sb3_fpac.zoo import ZooFPAC

train, calls = ZooFPAC.train, count()

def train_with_a_broken_critic_at_first(self, *args, **kwargs):
    if next(calls) == 0:
        next(self.critic.parameters()).data.fill_(float("nan"))
    train(self, *args, **kwargs)

ZooFPAC.train = train_with_a_broken_critic_at_first
"""


@pytest.mark.slow
def test_optimize_prunes_what_diverges_and_a_trial_can_be_trained(installed, tmp_path):
    (tmp_path / "custom_envs.py").write_text(DIVERGES_AT_FIRST)
    train = [*TRAIN, "fpac", *CHEETAH, "-n", "40", "--eval-episodes", "1", "--storage", "trials.log", "--study-name", "points"]
    options = ["-optimize", "--n-trials", "2", "--n-evaluations", "1", "--no-optim-plots"]
    output = run(installed, tmp_path, *train, *options, *TINY_FPAC)
    assert "The critic loss is nan" in output and "Number of finished trials:  2" in output
    assert list((tmp_path / "logs" / "fpac").glob("report_dmc-cheetah-run_2-trials-40-*.csv"))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "trials.log")))
    diverged, trial = optuna.load_study(study_name="points", storage=storage).trials
    assert diverged.state == TrialState.PRUNED and trial.state == TrialState.COMPLETE

    (tmp_path / "custom_envs.py").unlink()
    run(installed, tmp_path, *train, "--trial-id", "1", "--eval-freq", "-1", *TINY_FPAC)
    (config,) = (tmp_path / "logs" / "fpac").glob("dmc-cheetah-run_*/dmc-cheetah-run/config.yml")
    used = dict(yaml.load(config.read_text(), yaml.UnsafeLoader))
    expected = convert_fpac_params(trial.params)
    assert expected.items() <= used.items()
    assert expected["policy_kwargs"]["features_extractor_kwargs"]["n_points"] == trial.user_attrs["n_points"]


@pytest.mark.slow
def test_an_unknown_task_gets_the_nearest_suggested(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "sac", "--env", "dmc-cheeta-run", expect=1)
    assert "you maybe meant dmc-cheetah-run?" in output


@pytest.mark.slow
def test_a_custom_envs_of_the_users_own_wins_and_gym_packages_does_it(installed, tmp_path):
    (tmp_path / "custom_envs.py").write_text("print('mine')\n")
    train = [*TRAIN, "sac", *CHEETAH, "-n", "10", "--eval-freq", "-1", *TINY]
    output = run(installed, tmp_path, *train, expect=1)
    assert "mine" in output and "dmc-cheetah-run not found" in output
    output = run(installed, tmp_path, *train, "--gym-packages", "sb3_fpac")
    assert "mine" in output and str(installed / "sb3_fpac" / "zoo_configs" / "sac.yml") in output


@pytest.mark.slow
def test_gym_packages_comes_too_late_for_the_algorithm(installed, tmp_path):
    (tmp_path / "custom_envs.py").write_text("")
    output = run(installed, tmp_path, *TRAIN, "fpac", *CHEETAH, "--gym-packages", "sb3_fpac", expect=2)
    assert "argument --algo: invalid choice: 'fpac'" in output


ORDERS = ["rl_zoo3.exp_manager", "rl_zoo3.import_envs", "sb3_fpac.zoo", "rl_zoo3, sb3_fpac"]
IMPORT_IN_ORDERS = f"""
import os, sys
import huggingface_sb3, optuna, sb3_contrib, seaborn, torch._dynamo
assert not {{"rl_zoo3", "sb3_fpac"}} & sys.modules.keys()

def hyperparameters_after_importing(modules):
    exec(f"import {{modules}}")
    import argparse
    from rl_zoo3.exp_manager import ExperimentManager
    from rl_zoo3.utils import ALGOS
    ExperimentManager(argparse.Namespace(), "sac", "dmc-cheetah-run", "logs").read_hyperparameters()
    print(f"{{modules}}:", "fpac" in ALGOS and ExperimentManager.objective.__wrapped__.__name__, flush=True)

for modules in {ORDERS}:
    child = os.fork()  # an interpreter that has imported neither
    if child == 0:
        hyperparameters_after_importing(modules)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, modules
"""


@pytest.mark.slow
def test_any_order_of_imports_brings_the_hyperparameters(installed, tmp_path):
    output = run(installed, tmp_path, "-W", "error::UserWarning:custom_envs", "-c", IMPORT_IN_ORDERS)
    assert output.count(f"Loading hyperparameters from: {installed / 'sb3_fpac' / 'zoo_configs' / 'sac.yml'}") == len(ORDERS)
    assert [line for line in output.splitlines() if line.endswith(": objective")] == [
        f"{first}: objective" for first in ORDERS
    ]


@pytest.mark.slow
def test_a_missing_package_is_said_and_not_lost(installed, tmp_path):
    program = "import sys; sys.modules['sb3_contrib'] = None; import custom_envs; print('RL Zoo goes on')"
    output = run(installed, tmp_path, "-c", program)
    assert "dmc-* environments of sb3-fpac are not available" in output and "sb3_contrib" in output
    assert "RL Zoo goes on" in output


@pytest.mark.parametrize("algo, policy", [("sac", FPACPolicy), ("tqc", FPACTQCPolicy)])
def test_yaml_is_table_i_for_every_task(algo, policy):
    entries = yaml.safe_load((PROJECT / "zoo_configs" / f"{algo}.yml").read_text())
    assert set(entries) == {"default", *TASKS}
    for env_id, task in TASKS.items():
        entry = dict(entries[env_id])  # tasks share the default
        env_steps = 1_000_000 if task.domain in ("cheetah", "walker") else 500_000
        assert entry.pop("n_timesteps") * task.action_repeat == env_steps
        assert entry.pop("policy") == f"sb3_fpac.{policy.__name__}"
        expected = dict(fpac_hyperparams)
        if task.domain == "reacher":
            ((name, kwargs),) = entry.pop("callback")[0].items()
            assert pkgutil.resolve_name(name) is LearningRateDrop
            assert kwargs == {"after": 200_000 // task.action_repeat, "learning_rate": 3e-4}
            expected["learning_rate"] = 1e-3
        assert entry == expected


def test_fpacs_yaml_and_defaults_are_sacs_yaml_for_every_task():
    entries, of_sac = (yaml.safe_load((PROJECT / "zoo_configs" / f"{algo}.yml").read_text()) for algo in ("fpac", "sac"))
    assert list(entries) == list(of_sac) == ["default", *TASKS]
    assert FPAC.policy_aliases["CnnPolicy"] is FPACPolicy
    defaults = {name: parameter.default for name, parameter in inspect.signature(FPAC).parameters.items()}
    assert defaults["policy_delay"] == fpac_kwargs["actor_update_interval"]
    # FPAC counts its intervals over all of training: it needs no rounds of two. Its policy is an alias
    otherwise = dict(policy=("CnnPolicy", "sb3_fpac.FPACPolicy"), train_freq=(1, 2), gradient_steps=(1, 2))
    for env_id, entry in entries.items():
        assert entry.keys() <= of_sac[env_id].keys()
        used = {**defaults, **entry}
        for name, value in of_sac[env_id].items():
            assert (used[name], value) == otherwise.get(name, (value, value)), f"{env_id}: {name}"


def test_the_presets_yaml_is_the_preset_for_every_task_with_the_frames_it_is_made_for():
    entries = yaml.safe_load((PROJECT / "zoo_configs" / "fpac_fast.yml").read_text())
    assert list(entries) == ["default", *TASKS]
    for env_id, shared in entries.items():
        entry = dict(shared)
        assert entry.pop("policy") == "CnnPolicy"
        steps = entry.pop("n_timesteps")
        if env_id in TASKS:
            assert steps * TASKS[env_id].action_repeat == 100_000
            assert entry.pop("env_kwargs") == dict(size=64, fast_rendering=True)
        extractor_kwargs = entry["policy_kwargs"]["features_extractor_kwargs"]
        assert {**entry, "policy_kwargs": {**entry["policy_kwargs"], "features_extractor_kwargs": {}}} == {
            **fpac_fast,
            "policy_kwargs": {**fpac_fast["policy_kwargs"], "features_extractor_kwargs": {}},
        }
        extractor_kwargs = {**extractor_kwargs, "strides": tuple(extractor_kwargs["strides"])}  # YAML has lists
        assert extractor_kwargs == fpac_fast["policy_kwargs"]["features_extractor_kwargs"]


@pytest.mark.slow
def test_the_preset_trains_and_is_evaluated_recorded_and_watched_on_its_own_frames(installed, tmp_path):
    options = ["-n", "30", "--eval-freq", "20", "--eval-episodes", "1", "--seed", "1", "-params", "learning_starts:20"]
    output = run(installed, tmp_path, *TRAIN, "fpac_fast", *CHEETAH, *options)
    assert str(installed / "sb3_fpac" / "zoo_configs" / "fpac_fast.yml") in output
    assert "Eval num_timesteps=20" in output
    agent = ["--algo", "fpac_fast", *CHEETAH, "-f", "logs"]
    run(installed, tmp_path, "-m", "rl_zoo3.enjoy", *agent, "--no-render", "-n", "5")
    run(installed, tmp_path, "-m", "rl_zoo3.record_video", *agent, "-n", "5")
    program = (
        "from pathlib import Path; from sb3_fpac.zoo.saved_agents import find_model, load_agent;"
        "path = find_model(Path('logs'), 'fpac_fast', 'dmc-cheetah-run');"
        "model, env = load_agent(path, 'fpac_fast', 'dmc-cheetah-run');"
        "extractor = model.policy.features_extractor;"
        "print(env.observation_space.shape, extractor.encoder.geometry.strides, extractor.normalization is not None)"
    )
    assert "(7, 64, 64) (2,) True" in run(installed, tmp_path, "-c", program)


CONSTRUCT_ALL = """
import argparse
import gymnasium as gym
import numpy as np
from gymnasium import spaces
from rl_zoo3 import ALGOS
from rl_zoo3.exp_manager import ExperimentManager
from sb3_fpac.envs import TASKS

class Images(gym.Env):
    observation_space = spaces.Box(0, 255, (7, 17, 17), np.uint8)
    action_space = spaces.Box(-1, 1, (2,))

for env_id in TASKS:
    manager = ExperimentManager(argparse.Namespace(), "fpac", env_id, "logs")
    hyperparams, _, callbacks, _ = manager._preprocess_hyperparams(manager.read_hyperparameters()[0])
    model = ALGOS["fpac"](env=Images(), **hyperparams, policy_kwargs=dict(net_arch=[4]))
    print(f"{env_id}: {manager.n_timesteps} steps at {model.lr_schedule(1)}, {[type(c).__name__ for c in callbacks]}")
"""


@pytest.mark.slow
def test_every_entry_of_fpacs_yaml_makes_an_agent(installed, tmp_path):
    output = run(installed, tmp_path, "-c", CONSTRUCT_ALL)
    for env_id in TASKS:
        assert f"\n{env_id}: " in output
    assert "\ndmc-cheetah-run: 250000 steps at 0.0003, []" in output
    assert "\ndmc-reacher-easy: 125000 steps at 0.001, ['LearningRateDrop']" in output
