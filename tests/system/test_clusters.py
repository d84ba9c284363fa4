"""What Slurm and Kubernetes would be told to run, and a training on two machines that are network namespaces."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from colornet import cli, train

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
SLURM = ROOT / "launch" / "slurm.sh"

# Stand-ins for what a job finds on its machine. The first notes what it is told and ends as the test wants it to; it is
# started as COLORNET_PYTHON and passes everything but the launcher on to python itself.
PYTHON = """
import json, os, pathlib, sys
if sys.argv[1:3] != ["-m", "accelerate.commands.launch"]:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
names = ("OMP_NUM_THREADS", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "NCCL_SOCKET_IFNAME")
with open("launched", "a") as file:
    file.write(json.dumps([sys.argv[3:], {name: os.environ.get(name) for name in names}]) + "\\n")
if os.environ["MARKER"]:
    pathlib.Path(os.environ["MARKER"]).touch()
sys.exit(int(os.environ["CODE"]))
"""
SRUN = """
import os, signal, subprocess, sys
if os.environ["SIGNAL"] == "late":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
first = sys.argv.index("bash")
open("srun", "w").write(" ".join(sys.argv[1:first]))
if os.environ["SIGNAL"]:
    os.kill(os.getppid(), signal.SIGTERM)
    if os.environ["SIGNAL"] == "early":  # before the launchers are started
        signal.pause()
    signal.sigwait([signal.SIGTERM])  # which the script passes on
nodes = range(int(os.environ["SLURM_JOB_NUM_NODES"]))
sys.exit(max([subprocess.call(sys.argv[first:], env={**os.environ, "SLURM_NODEID": str(node)}) for node in nodes]))
"""
SCONTROL = """
import os, sys
if sys.argv[1:] == ["show", "hostnames", "gpu[07-09]"]:
    print(*("gpu07", "gpu08", "gpu09")[:int(os.environ["SLURM_JOB_NUM_NODES"])], sep="\\n")
else:
    open("requeued", "a").write(" ".join(sys.argv[1:]))
"""
TORCHRUN = """
import json, os, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder to submit from, with the stand-ins in `bin`."""
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    for name, code in (("python", PYTHON), ("srun", SRUN), ("scontrol", SCONTROL), ("torchrun", TORCHRUN)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
    return tmp_path


def environment(place: Path, **variables: str) -> dict[str, str]:
    ours = ("OMP_NUM_THREADS", "WORLD_SIZE", "PROCESSES_PER_NODE", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    path = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return {**inherited, **path, **variables}


def submit(place: Path, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the script as Slurm would on the first of three machines with four GPUs each.

    Each launcher touches the file $MARKER, if one is named, and ends with $CODE. With $SIGNAL, Slurm asks the script to
    stop: "late", with all launchers at work, or "early", before they are.
    """
    job = {"SLURM_JOB_ID": "1234567", "SLURM_JOB_NUM_NODES": "3", "SLURM_JOB_NODELIST": "gpu[07-09]"}
    job |= {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "16", "COLORNET_PYTHON": str(place / "bin" / "python")}
    variables = environment(place, **{**job, "MARKER": "", "CODE": "0", "SIGNAL": "", **changes})
    command = ["bash", str(SLURM), "cgan", "--run-dir", "runs/x y", *options]
    return subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, timeout=200, check=False)


def launched(place: Path) -> list[tuple[list[str], dict[str, str]]]:
    path = place / "launched"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def test_slurm_starts_the_launcher_once_a_machine(place: Path) -> None:
    result = submit(place, "--batch-size", "48", NCCL_SOCKET_IFNAME="ib0")
    assert result.returncode == 0, result.stderr
    training = ["cgan", "--run-dir", "runs/x y", "--batch-size", "48", "--resume", "auto"]
    variables = {"OMP_NUM_THREADS": "4", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "150", "NCCL_SOCKET_IFNAME": "ib0"}
    assert launched(place) == [
        ([
            "--machine_rank", str(rank), "--config_file", "launch/accelerate/multi_machine.yaml",
            "--num_machines", "3", "--num_processes", "12",
            "--main_process_ip", "gpu07", "--main_process_port", "24567", "-m", "colornet.train", *training,
        ], variables)
        for rank in range(3)
    ]  # fmt: skip
    tasks = "--nodes=3 --ntasks=3 --ntasks-per-node=1 --cpus-per-task=16 --kill-on-bad-exit=1"
    assert (place / "srun").read_text() == tasks
    assert not (place / "requeued").exists()


def test_slurm_gives_each_run_of_an_array_its_number(place: Path) -> None:
    options = ("--seed", "%a", "--run-dir", "runs/a b-%a")
    for number in ("", "2"):
        result = submit(place, *options, SLURM_JOB_NUM_NODES="1", SLURM_GPUS_ON_NODE="1", SLURM_ARRAY_TASK_ID=number)
        assert (result.returncode == 0) == bool(number), result.stderr  # outside an array, %a is no seed
    ((arguments, _),) = launched(place)
    assert arguments[-6:] == ["--seed", "2", "--run-dir", "runs/a b-2", "--resume", "auto"]


def test_slurm_command_is_one_that_accelerate_knows(place: Path) -> None:
    from accelerate.commands.launch import launch_command_parser

    submit(place, PROCESSES_PER_NODE="2", SLURM_JOB_NUM_NODES="1")
    ((arguments, variables),) = launched(place)
    parsed = launch_command_parser().parse_args(arguments)
    assert (parsed.num_machines, parsed.num_processes, parsed.machine_rank) == (1, 2, 0)
    assert (parsed.module, parsed.training_script) == (True, "colornet.train")
    assert parsed.training_script_args == ["cgan", "--run-dir", "runs/x y", "--resume", "auto"]
    assert variables["OMP_NUM_THREADS"] == "8"


@pytest.mark.parametrize(("signal", "code"), [("", 0), ("", 1), ("late", 0), ("late", 1)])
@pytest.mark.parametrize("left", ["by nobody", "by an earlier job", "by this job"])
def test_slurm_queues_again_what_this_job_left_unfinished(left: str, signal: str, code: int, place: Path) -> None:
    marker = place / "runs" / "x y" / "preempted"
    marker.parent.mkdir(parents=True)
    if left == "by an earlier job":
        marker.touch()
        dry_run = [sys.executable, "-m", "colornet.train", "cgan", "--batch-size", "48", "--dry-run"]
        config = subprocess.run(dry_run, env=environment(place), capture_output=True, text=True, check=True).stdout
        (marker.parent / "config.json").write_text(config)
    by_this = {"MARKER": str(marker)} if left == "by this job" else {}
    result = submit(place, "--batch-size", "48", CODE=str(code), SIGNAL=signal, **by_this)
    assert result.returncode == code, result.stderr
    assert len(launched(place)) == 3
    asked = (place / "requeued").read_text() if (place / "requeued").exists() else None
    unfinished = left == "by this job" or (signal, code) == ("late", 1)  # no marker: stopped before its first step
    assert asked == ("requeue 1234567" if unfinished else None)


def test_slurm_queues_again_what_was_stopped_before_it_was_started(place: Path) -> None:
    result = submit(place, "--batch-size", "48", SIGNAL="early")
    assert result.returncode == 128 + 15, result.stderr
    assert launched(place) == []
    assert (place / "requeued").read_text() == "requeue 1234567"


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (["--epochs", "0"], {}, "error: --epochs is 0: it must be at least 1."),
        (["--batch-size", "32"], {}, "error: --batch-size 32 cannot be divided by 12 processes"),
        ([], {"SLURM_GPUS_ON_NODE": ""}, "the job has no GPUs; ask for some, or set PROCESSES_PER_NODE"),
    ],
)
def test_slurm_finds_mistakes_before_it_starts(
    options: list[str], changes: dict[str, str], message: str, place: Path
) -> None:
    result = submit(place, *options, **changes)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert launched(place) == []
    assert not (place / "requeued").exists()


def test_slurm_is_asked_for_a_signal_and_leaves_time_after_it() -> None:
    text = SLURM.read_text()
    header = text[: text.index("set -e")]  # sbatch reads no further than the first command
    assert text.count("#SBATCH") == header.count("#SBATCH")
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", header, re.MULTILINE))
    assert {"gpus-per-node", "time", "requeue"} <= asked.keys()
    assert asked["nodes"] == "1"
    assert asked["ntasks-per-node"] == "1"
    receiver, _, signal = asked["signal"].partition(":")
    name, seconds = signal.split("@")
    (timeout,) = re.findall(r"SHUTDOWN_TIMEOUT:-(\d+)", text)
    assert (receiver, name) == ("B", "TERM")  # the script, which passes it on
    assert int(timeout) < int(seconds)


def manifests(name: str) -> dict[str, Any]:
    """Read the manifests of a file, by kind."""
    return {part["kind"]: part for part in yaml.safe_load_all((ROOT / "launch/kubernetes" / name).read_text())}


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    return manifests("job.yaml")


def container_environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def test_kubernetes_manifests_agree_with_themselves(kubernetes: dict[str, Any]) -> None:
    service, job = kubernetes["Service"], kubernetes["Job"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = container_environment(container)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert f"{job['metadata']['name']}-0.{service['metadata']['name']}:29500" in container["command"][2]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == int(variables["NODES"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(variables["PROCESSES_PER_NODE"])
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy wants it
    assert int(variables["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) < pod["terminationGracePeriodSeconds"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert variables["COLORNET_DATA"].startswith("/shared/")


@pytest.mark.parametrize("name", ["job.yaml", "single.yaml"])
def test_kubernetes_types_hold_every_field(name: str) -> None:
    """A dry run without a cluster: kubectl reads the Job into its own types, which leave out what they do not know."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "set", "env", "--local", "-f", "-", "ADDED=1", "-o", "json"]
    job = manifests(name)["Job"]
    result = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert_holds(json.loads(result.stdout), job, "job")


def assert_holds(found: Any, expected: Any, where: str) -> None:
    """Compare, but for what `found` has beyond `expected`; quantities may be written as text."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in found, f"{where}.{key}"
            assert_holds(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) >= len(expected), where
        for index, value in enumerate(expected):
            assert_holds(found[index], value, f"{where}[{index}]")
    else:
        assert str(found) == str(expected), where


@pytest.mark.parametrize("index", [0, 1])
def test_kubernetes_command_is_one_that_torchrun_and_colornet_know(
    index: int,
    kubernetes: dict[str, Any],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from torch.distributed.run import get_args_parser

    (container,) = kubernetes["Job"]["spec"]["template"]["spec"]["containers"]
    variables = container_environment(container) | {"ADDRESS": "10.1.2.3", "JOB_COMPLETION_INDEX": str(index)}
    command = [*container["command"], *(word.replace("/shared", str(place)) for word in container["args"])]
    result = subprocess.run(
        command, env=environment(place, **variables), capture_output=True, text=True, timeout=60, check=True
    )
    parsed = get_args_parser().parse_args(json.loads(result.stdout))
    assert (parsed.nnodes, parsed.nproc_per_node, parsed.rdzv_backend) == ("2", "8", "c10d")
    assert parsed.rdzv_endpoint == "colornet-0.colornet:29500"
    assert parsed.rdzv_conf == f"is_host={1 - index},join_timeout=3600"
    assert (parsed.local_addr, parsed.module, parsed.training_script) == ("10.1.2.3", True, "colornet.train")

    monkeypatch.setenv("WORLD_SIZE", "16")
    train.main([*parsed.training_script_args, "--dry-run"])
    config = json.loads(capsys.readouterr().out)
    assert (config["run_dir"], config["resume"]) == (f"{place}/runs/cgan", "auto")


def test_kubernetes_pod_gives_the_image_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = manifests("single.yaml")
    pod = parts["Job"]["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == parts["PersistentVolumeClaim"]["metadata"]["name"]
    image = (ROOT / "launch/Dockerfile").read_text()
    assert 'ENTRYPOINT ["colornet"]' in image  # what gets the arguments
    assert f"USER {pod['securityContext']['fsGroup']}" in image
    mounted = container["volumeMounts"][0]["mountPath"]
    assert f"COLORNET_DATA={mounted}/" in image
    cli.main([*(word.replace(f"{mounted}/", f"{tmp_path}/") for word in container["args"]), "--dry-run"])
    config = json.loads(capsys.readouterr().out)
    assert (config["run_dir"], config["resume"]) == (f"{tmp_path}/runs/cgan", "auto")


def test_image_is_built_from_all_that_the_package_needs(tmp_path: Path) -> None:
    """The Dockerfile's steps without an engine: what .dockerignore lets in makes the wheel of the whole checkout."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    for name in (line[1:] for line in lines if line.startswith("!")):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (script,) = re.findall(r"RUN (python -c .*?) \\\n *> requirements.txt", (ROOT / "launch/Dockerfile").read_text())
    wanted = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("colornet/")}
        (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    tracked = subprocess.run(["git", "ls-files", "colornet"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert packed == {*tracked.stdout.split()}
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert [re.match(r"[\w-]+", line)[0] for line in wanted.split()] == required  # type: ignore[index]


def test_machines_of_their_own_networks_train_as_one(tmp_path: Path) -> None:
    """The short version of what docs/clusters.md reports: one process of two is killed. test_faults.py stops one."""
    command = [sys.executable, "-m", "benchmarks", "machines", "--out", str(tmp_path / "out.json")]
    command += ["--launchers", "torchrun", "--events", "restart", "--steps", "12", "--patience", "600"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, errors = job.communicate(timeout=1500)
    if job.returncode == 2 and errors.startswith("error: Network namespaces cannot be made here"):
        pytest.skip(errors.strip().removeprefix("error: "))
    assert job.returncode == 0, output + errors
    for row in json.loads((tmp_path / "out.json").read_text())["runs"].values():
        assert row["bit_identical"]
        assert [start["codes"] for start in row["starts"]] == [[0, 0]]
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"colornet-{job.pid}" not in left
