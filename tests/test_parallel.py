"""One model on two processes: gradients are those of the whole batch, and every schedule learns as on one process."""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from models import SHAPE, fresh

import vaecore
from vaecore import checkpoints, standing
from vaecore.parallel import Workers, current, started_together

ROOT = Path(__file__).parents[1]
RECIPES = tuple(vaecore.RECIPES)
OPTIONS = {"rnvp-p": {"depth": 2, "training": "iterative", "rounds": 2}, "rme": {"components": 3}, "sa": {"steps": 2}}
EPOCHS = 2
NATS = {"resnet-af": 8.0}  # its first epochs differ by as much from seed to seed: -60.8 to -52.9 among five

TOGETHER = """
import json, sys
sys.path.insert(0, "tests")
import torch
torch.set_num_threads(1)
import vaecore
from models import fresh
from vaecore import parallel

names, options, epochs = json.loads(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
train = vaecore.load_dataset("dynamic_digits", "train").first(384)
with parallel.joined(torch.device("cpu")):
    workers, found = parallel.current(), {}
    for name in names:
        torch.manual_seed(workers.rank)  # each begins elsewhere: the first one's weights must win
        vae = fresh(name, "small", "bernoulli", **options.get(name, {}))
        history = vaecore.fit(vae, name, train, train.first(99), epochs=epochs, device="cpu")
        marks = torch.stack([p.detach().double().sum() for p in vae.state_dict().values()])
        other = workers.sum(marks.clone()) - marks
        found[name] = {"history": history, "same": bool(torch.equal(marks, other))}

    torch.manual_seed(0)
    vae, x = fresh("vae", "small", "bernoulli"), train.images[:101]
    def objective(x):  # without noise, so that the whole batch's gradient is known
        q = vae.encoder(x)
        return vae.log_likelihood(x, q.mean).mean() - q.variance.sum(-1).mean()
    mine = workers.share(torch.arange(101))
    (-objective(x[mine]) * len(mine) / 101).backward()
    workers.sum_gradients(list(vae.parameters()))
    shared = [p.grad.clone() for p in vae.parameters()]
    vae.zero_grad(set_to_none=True)
    (-objective(x)).backward()
    off = max(float((a - p.grad).abs().max()) for a, p in zip(shared, vae.parameters()) if p.grad is not None)
    if workers.first:
        print(json.dumps({"fits": found, "off": off, "any": workers.any(False, x.device)}))
    else:
        workers.any(False, x.device)
"""


def free_port() -> str:
    """Below those that a system hands out, so that no other program is given it before the processes take it."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return str(port)
    pytest.fail("There is no free port.")


def launch(*command: str) -> list[subprocess.CompletedProcess]:
    """The command as the two processes that torchrun would start."""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    ended = []
    for process in started:
        out, err = process.communicate(timeout=400)
        ended.append(subprocess.CompletedProcess(command, process.returncode, out, err))
    return ended


LEAVING = """
import sys, time
from pathlib import Path
import torch
import torch.distributed as engine
from vaecore import parallel

mark, leave = Path(sys.argv[1]), engine.destroy_process_group
def slowly():
    time.sleep(1.0)
    leave()
    mark.touch()
with parallel.joined(torch.device("cpu")):
    first = parallel.current().first
    engine.destroy_process_group = leave if first else slowly
print(mark.exists())
"""


def test_nobody_ends_before_all_have_left_the_group(tmp_path: Path) -> None:
    """The first process keeps what the other still speaks to."""
    first, second = launch("-c", LEAVING, str(tmp_path / "left"))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == "True\n"


@pytest.fixture(scope="module")
def together() -> dict:
    first, second = launch("-c", TOGETHER, json.dumps(RECIPES), json.dumps(OPTIONS), str(EPOCHS))
    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    return json.loads(first.stdout)


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_learn_as_one(together: dict, name: str) -> None:
    train = vaecore.load_dataset("dynamic_digits", "train").first(384)
    torch.manual_seed(0)
    vae = fresh(name, "small", "bernoulli", **OPTIONS.get(name, {}))
    alone = vaecore.fit(vae, name, train, train.first(99), epochs=EPOCHS, device="cpu")
    found = together["fits"][name]
    assert found["same"]  # the two have the very same weights
    for one, two in zip(alone, found["history"], strict=True):
        # Their noise differs, and so do hinges and pairs, which each process has of its own half.
        for curve in ("train_elbo", "valid_elbo"):
            assert two[curve] == pytest.approx(one[curve], rel=0.05, abs=NATS.get(name, 0.5)), curve


def test_the_gradient_is_that_of_the_whole_batch(together: dict) -> None:
    assert together["off"] < 1e-5
    assert together["any"] is False


def test_alone_nothing_is_sent() -> None:
    assert current() == Workers(0, 1)
    assert started_together() == 1
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 2.0)
    Workers().sum_gradients([weight])
    assert weight.grad.tolist() == [2.0] * 3
    assert Workers().share(torch.arange(4)).tolist() == [0, 1, 2, 3]
    assert Workers(1, 2).share(torch.arange(5)).tolist() == [1, 3]


def test_torchrun_trains_one_model_and_the_first_process_writes(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    command = ["-m", "vaecore", "train", "vae", "--epochs", "2", "--folder", str(folder), "--device", "cpu"]
    first, second = launch(*command)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert json.loads(first.stdout)["folder"] == str(folder)
    assert second.stdout == ""
    assert checkpoints.read_metrics(folder)["training"]["processes"] == 2
    assert vaecore.load(folder).config["data_shape"] == list(SHAPE)
    assert [line["epoch"] for line in standing.read(folder).epochs] == [1, 2]


def test_the_launcher_itself_trains_one_model(tmp_path: Path) -> None:
    """torchrun, as the README has it."""
    folder = tmp_path / "launched"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vaecore"]
    command += ["train", "vae", "--epochs", "2", "--option", "net=small", "--folder", str(folder), "--device", "cpu"]
    ended = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["folder"] == str(folder)
    assert checkpoints.read_metrics(folder)["training"]["processes"] == 2
    assert [line["epoch"] for line in standing.read(folder).epochs] == [1, 2]


def test_a_batch_must_be_large_enough_for_all() -> None:
    from vaecore.beginning import check_batch
    from vaecore.recipes import RECIPES as known

    with pytest.raises(ValueError, match="Each of 3 processes needs at least 2 of a batch's images"):
        check_batch(known["mae"], torch.zeros(9, 1, 8, 8), 5, 3)
