"""The shell blocks of the documentation run as they stand, page by page, or stand in a list with the reason why not."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from scipy.io import savemat

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
SECONDS = 1500
LEARNED = re.compile(r"models:/m-\w{32}")
"""What MLflow calls a model: a page shows the one of its own run, a reader takes what was printed."""

RUN_ELSEWHERE = {
    "elsewhere.md": "tests/app/importing/test_docs.py",
    "models.md": "tests/app/test_pretrain.py",
}
"""Pages whose commands another test runs."""

NOT_RUN = {
    "make study": "sets up .venv, which takes 7 GB; the study itself runs in the last block of the page",
    "make test": "runs this test",
    "source .venv/bin/activate": "the test runs in that environment",
    "python -m fgtune.run studies/kf_sensitivity.yaml --tracking-uri http://mlflow.example.org:5000": "no such server",
    "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... AWS_REGION=eu-central-1": "needs keys of an account",
    "fgtune run studies/kf_sensitivity.yaml --smoke --address 127.0.0.1:6399 --storage s3://BUCKET/fgtune": (
        "needs that account; tests/engine/test_storage.py runs on a bucket of its own"
    ),
    "sbatch deploy/slurm/study.sbatch studies/NAME.yaml": "needs SLURM; tests/test_deploy.py runs the script",
    "sbatch --array=0-3 deploy/slurm/array.sbatch studies/A.yaml studies/B.yaml studies/C.yaml studies/D.yaml": (
        "needs SLURM; tests/test_deploy.py runs the script"
    ),
    "ray up deploy/ray/aws.yaml": "rents machines",
    "ray exec deploy/ray/aws.yaml 'RAY_AUTH_MODE=token fgtune run STUDY --address auto --storage s3://BUCKET/fgtune'": (
        "needs those machines"
    ),
    "ray down deploy/ray/aws.yaml": "needs those machines",
    "kubectl create secret generic fgtune-s3 --from-literal=AWS_ACCESS_KEY_ID=... "
    "--from-literal=AWS_SECRET_ACCESS_KEY=...": "needs a Kubernetes cluster",
    "kubectl create configmap fgtune-study --from-file=study.yaml=studies/NAME.yaml": "needs a Kubernetes cluster",
    "kubectl create -f deploy/kubernetes/rayjob.yaml": "needs a Kubernetes cluster",
    'pip install "psycopg[binary]"': "changes the environment",
    "createdb mlflow": "needs a PostgreSQL that runs; tests/test_postgresql.py starts one",
    "mlflow server --backend-store-uri postgresql:///mlflow --artifacts-destination ./artifacts --host 127.0.0.1 "
    "--port 5000": "needs that database; tests/test_postgresql.py starts such a server",
    "fgtune run studies/kf_sensitivity.yaml --smoke --tracking-uri http://127.0.0.1:5000": (
        "needs that server; tests/test_postgresql.py runs on it"
    ),
}
"""Commands that cannot run here, and why."""

STUDIES_OF_THE_PAPERS = "experiments.md"
"""Its studies take hours to days, most of them on data to be fetched; test_studies and test_recipes run miniatures."""

INSTEAD = {
    "fgtune discover customers.csv": "UNTIL_DONE fgtune discover customers.csv --minutes 1",
    "fgtune discover customers.csv --coarse segment": (
        "UNTIL_DONE fgtune discover customers.csv --coarse segment --minutes 1"
    ),
    "fgtune discover letters.csv --text body --coarse department": (
        "UNTIL_DONE fgtune discover letters.csv --text body --coarse department --minutes 1"
    ),
    "fgtune bench": "fgtune bench --sets digits --methods kmeans --seeds 1",  # all of it takes hours
    "fgtune bench --add studies/mine.yaml:my_arm --plugins mypackage": (
        "fgtune bench --add studies/mine.yaml:my_arm --plugins mypackage --sets digits --methods kmeans --seeds 1"
    ),
    "fgtune ui reports/kf_sensitivity": "UNTIL_SERVED fgtune ui reports/kf_sensitivity",  # until Ctrl-C
    "python -m fgtune.run studies/kf_sensitivity.yaml --tracking-uri sqlite:////data/team/mlflow.db": (
        'python -m fgtune.run studies/kf_sensitivity.yaml --tracking-uri "sqlite:///$PWD/team.db"'
    ),
    # A study in which K_F matters is not free of arms that hurt.
    'jq -e \'.cells.missing == 0 and all(.contrasts[]; .verdict != "hurts" and .doubt == "")\' '
    "reports/kf_sensitivity/verdicts.json": (
        "jq -e '.cells.missing == 0 and any(.contrasts[]; .verdict == \"hurts\")' reports/kf_sensitivity/verdicts.json"
    ),
    "ray start --address=FIRST_MACHINE:6399": "ray start --address=127.0.0.1:6399 --num-cpus=1",
    # The page's first run has finished this study.
    "fgtune run studies/kf_sensitivity.yaml --smoke --address 127.0.0.1:6399 --storage /tmp/fgtune-storage": (
        "fgtune run studies/kf_sensitivity.yaml --smoke --address 127.0.0.1:6399 --storage $PWD/storage "
        "--set study=two_machines"
    ),
}
"""Commands that run with less to do, or with names of this machine."""

HELPERS = """
UNTIL_DONE() {
    for _ in 1 2 3 4; do if "$@"; then return 0; else code=$?; fi; if [ $code != 4 ]; then break; fi; done
    return $code
}
UNTIL_SERVED() {
    "$@" > served.txt & served=$!
    for _ in $(seq 240); do if grep -q 'Ctrl-C stops it' served.txt; then break; fi; sleep 0.5; done
    kill -TERM $served; wait $served || true
    grep -q 'Ctrl-C stops it' served.txt
}
"""


def blocks_of(page: str, *languages: str) -> list[tuple[str, str]]:
    """Language and text of a page's blocks in these languages, in their order."""
    text = PAGES[page].read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for block in found if block[0] in languages]


def commands_of(block: str) -> list[str]:
    """The lines of a shell block, put together where they go on, without comments."""
    lines = (re.sub(r"\s+#.*", "", line).strip() for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def shown() -> Iterator[tuple[str, str]]:
    """Page and command of every shell block."""
    for page in PAGES:
        for _, block in blocks_of(page, *SHELL):
            yield from ((page, command) for command in commands_of(block))


def script_of(block: str) -> str:
    return "\n".join(INSTEAD.get(line, line) for line in commands_of(block) if line not in NOT_RUN)


# What a page takes for granted.


def customers(place: Path) -> None:
    """A table of coarse labels, as a `.csv`, and one of letters."""
    rng = np.random.default_rng(0)
    fine = np.arange(240) % 4
    points = rng.normal(size=(240, 4)) + 5 * np.eye(4)[fine]
    rows = [
        ",".join(f"{value:.4f}" for value in row) + f",s{kind // 2}" for row, kind in zip(points, fine, strict=True)
    ]
    (place / "customers.csv").write_text("\n".join(["age,spent,visits,years,segment", *rows]) + "\n", encoding="utf-8")
    words = ["invoice paid bank", "parcel late driver", "screen broken repair", "battery empty charger"]
    letters = [f'"{words[kind]} {words[kind]} {rng.integers(9)}",d{kind // 2}' for kind in fine[:160]]
    (place / "letters.csv").write_text("\n".join(["body,department", *letters]) + "\n", encoding="utf-8")


def unmixing(place: Path) -> None:
    rng = np.random.default_rng(0)
    savemat(place / "unmixing.mat", {"Y": rng.random((5, 40)), "A": rng.random((3, 40))})
    parts = {name: {"x": rng.random((20, 5)), "y": rng.random((20, 3))} for name in ("train", "test")}
    (place / "unmixing.pkl").write_bytes(pickle.dumps(parts))


def old_weights(place: Path) -> None:
    import torch

    torch.save({"state_dict": {"weight": torch.ones(2)}}, place / "old.pth")


def own_method(place: Path) -> None:
    (place / "mypackage.py").write_text('"""Parts of mine."""\n', encoding="utf-8")
    (place / "studies" / "mine.yaml").write_text(
        "study: mine\nquestion: Is mine better?\nseeds: 1\n"
        "design: {kind: comparison, baseline: plain, arms: [{name: plain}, {name: my_arm, set: {epochs: 2}}]}\n"
        "trial:\n  data: {kind: digits}\n  model: {backbone: {kind: mlp, hidden: [16]}}\n"
        "  classes: {num_fine: 10}\n  epochs: 2\n",
        encoding="utf-8",
    )


def own_trainer(place: Path) -> None:
    """The study of the page, and the function that it sketches."""
    (gain,) = (block for _, block in blocks_of("own_trainer.md", "yaml") if "study: gain" in block)
    (place / "gain.yaml").write_text(gain, encoding="utf-8")
    (place / "mypackage.py").write_text(
        "def run(config, seed, report):\n"
        "    for epoch in range(report.epoch, report.epochs):\n"
        "        report(score=config['gain'] * (epoch + 1) / 5 + seed / 100, loss=1.0)\n",
        encoding="utf-8",
    )


def files_of_the_page(page: str, pattern: str) -> Callable[[Path], None]:
    """Write the files that a page shows, by a pattern of their name and text."""

    def prepare(place: Path) -> None:
        found = re.findall(pattern, PAGES[page].read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        assert found
        for name, text in found:
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")

    return prepare


def others(place: Path) -> None:
    files_of_the_page("plugins.md", r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```")(place)
    (place / "others.py").touch()


SHELL = ("sh", "bash")
ALL = (*SHELL, "python")

SESSIONS: dict[str, tuple[Callable[[Path], None] | None, dict[str, tuple[str, ...]], list[str]]] = {
    "running": (
        None,
        {"running.md": SHELL},
        ["both.csv", "both.html", "results.parquet", "table.tex", "classes.parquet", "figures/captions.md"],
    ),
    "the main study": (
        customers,
        {"README.md": SHELL, "studies.md": ALL, "verdicts.md": SHELL, "verify.md": SHELL, "tracking.md": ALL},
        ["reports/kf_sensitivity/report.html", "reports/discover-customers/classes.csv", "mine.npz", "team.db"],
    ),
    "refit": (None, {"refit.md": ALL}, ["odd.csv", "all.parquet"]),
    "discover": (
        customers,
        {"discover.md": SHELL},
        [f"reports/discover-{x}/classes.csv" for x in ("customers", "letters")],
    ),
    "bench": (own_method, {"bench.md": SHELL}, ["reports/bench/bench.csv", "reports/bench/digits-2/report.html"]),
    "own trainer": (
        own_trainer,
        {"own_trainer.md": SHELL},
        ["reports/gain/report.html", "reports/own_trainer/report.html"],
    ),
    "coming from": (
        files_of_the_page("coming_from.md", r"```(?:python|yaml)\n# (\S+)\n(.*?)```"),
        {"coming_from.md": SHELL},
        ["reports/digits_net/report.html"],
    ),
    "plugins": (others, {"plugins.md": SHELL}, ["reports/rings/report.html"]),
    "data": (unmixing, {"data.md": SHELL}, ["unmixing.npz", "parts.npz"]),
    "old weights": (old_weights, {"models.md": ("python",)}, ["weights.pt"]),
    "cluster": (None, {"cluster.md": SHELL}, ["reports/two_machines-smoke/report.html"]),
}
"""What pages need; the pages that run in one folder, with the languages of their blocks that do; what is there then."""


@pytest.fixture
def run_here(tmp_path) -> Iterator[Callable[[str, str], str]]:
    """Run a block in the folder, with the environment that the blocks before left; returns what it printed."""
    for name in ("studies", "search_spaces", "deploy"):
        (tmp_path / name).mkdir()
        for path in (ROOT / name).iterdir():
            (tmp_path / name / path.name).symlink_to(path)
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "HOME": str(tmp_path), "DOCUMENTED": mark}
    kept = tmp_path / "environment.sh"
    kept.touch()

    def run(language: str, block: str) -> str:
        script = f"set -eo pipefail\n. ./{kept.name}\n{HELPERS}\nset -x\n{block}\nset +x\nexport -p > {kept.name}\n"
        command = ["bash", "-c", script] if language != "python" else [sys.executable, "-c", block]
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    yield run
    for process in psutil.process_iter():  # what a page starts and leaves: the nodes of a cluster
        try:
            if process.environ().get("DOCUMENTED") == mark:
                process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.timeout(3 * SECONDS)
@pytest.mark.parametrize("session", SESSIONS)
def test_the_blocks_of_a_page_run_from_top_to_bottom(session, run_here, tmp_path):
    prepare, pages, wanted = SESSIONS[session]
    if prepare is not None:
        prepare(tmp_path)
    said = ""
    for page, languages in pages.items():
        for language, block in blocks_of(page, *languages):
            named = LEARNED.findall(said)
            code = LEARNED.sub(named[-1], block) if named else block
            said += run_here(language, code if language == "python" else script_of(code))
    assert [name for name in wanted if not (tmp_path / name).exists()] == []


def test_every_command_runs_somewhere_or_says_why_not():
    here = {page for _, pages, _ in SESSIONS.values() for page, languages in pages.items() if "bash" in languages}
    left = {page for page, command in shown() if command not in NOT_RUN} - here - {STUDIES_OF_THE_PAPERS}
    assert left == set(RUN_ELSEWHERE)
    for page, test in RUN_ELSEWHERE.items():
        assert page in (ROOT / test).read_text(encoding="utf-8")


def test_no_entry_of_the_lists_is_out_of_date():
    commands = {command for _, command in shown()}
    assert sorted(set(NOT_RUN) - commands) == []
    assert sorted(set(INSTEAD) - commands) == []
    assert set(NOT_RUN) & set(INSTEAD) == set()
    assert all(NOT_RUN.values())
    for reason in NOT_RUN.values():
        assert all((ROOT / test).is_file() for test in re.findall(r"tests/[\w/]+\.py", reason))
