"""A detector from outside that tries to cheat, in the way that its budget's number of rollouts says."""

# mypy: ignore-errors

# Written as somebody else's file would be: it is read by another process, and never imported by the tests.

import ctypes
import mmap
import os
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

import goalscope
from goalscope.detectors import detector
from goalscope.errors import ForbiddenError

SEEN = []
HERE = os.environ["TMPDIR"]


def reads_labels(agent, query):
    folder = Path(goalscope.__file__).parent / "agents" / "zoos" / "smoke"
    return (folder / "labels.parquet").stat().st_size + len((folder / "labels.parquet").read_bytes())


def lists_zoos(agent, query):
    found = os.listdir(Path(goalscope.__file__).parent / "agents" / "zoos")
    return 1 / len(found)


def reads_hidden(agent, query):
    return len(Path("HIDDEN").read_text())


def reads_labels_by_arrow(agent, query):
    import pyarrow.parquet

    return len(pyarrow.parquet.read_table("HIDDEN"))


def patches_scorer(agent, query):
    """As if what checks and what scores were here; what it says goes out unchecked."""
    from goalscope.detectors import calibration
    from goalscope.suites import score

    calibration.calibrate = score.losses = lambda *given: None
    send = agent._wire.send
    agent._wire.send = lambda body: send({**body, "result": np.array([np.nan])} if "result" in body else body)
    return 1.0


def steps(agent, query):
    from goalscope.envs import Engine

    engine = Engine(query.levels, query.family, "planes", autoreset="off")
    engine.reset()
    return engine.step(np.zeros(len(query), np.int64)).reward.mean()


def makes_frames(agent, query):
    from goalscope.detectors import Frames

    frames = agent.frames(4)
    own = Frames(frames.obs, query.levels.take(slice(4)), "bank 0 to 9", np.arange(4))
    return agent.outputs(own).values.mean()


def swaps_frames(agent, query):
    """Other pixels under the name of issued frames: what comes back is about the issued ones."""
    from dataclasses import replace

    frames = agent.frames(4)
    black = replace(frames, obs=np.zeros_like(frames.obs))
    return np.abs(agent.outputs(black).values - agent.outputs(frames).values).max()


def takes_agent(agent, query):
    return agent._agent.seed


def connects(agent, query):
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def connects_in_c(agent, query):
    """To a server that listens outside: its address is its family, its port and 127.0.0.1 as the system has them."""
    libc = ctypes.CDLL(None)
    address = struct.pack("=HHBBBBQ", socket.AF_INET, socket.htons(int("PORT")), 127, 0, 0, 1, 0)
    return libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))


def tells_how_many_processes_it_may_start(agent, query):
    return resource.getrlimit(resource.RLIMIT_NPROC)[1]


def starts(agent, query):
    return subprocess.run(["true"]).returncode


def forks(agent, query):
    while True:
        if os.fork() == 0:
            time.sleep(60)


def forks_in_c(agent, query):
    """By the C library, which no hook sees; a few dozen stand for a number without end."""
    libc = ctypes.CDLL(None)
    for _ in range(30):
        if libc.fork() == 0:
            libc.prctl(15, b"gs-cheat-bomb", 0, 0, 0)
            libc.sleep(60)
            libc._exit(0)
    libc.sleep(60)


def leaves_one_behind(agent, query):
    """In a session of its own, so that it does not end with the others."""
    libc = ctypes.CDLL(None)
    if libc.fork() == 0:
        libc.setsid()
        libc.prctl(15, b"gs-cheat-left", 0, 0, 0)
        libc.sleep(60)
        libc._exit(0)
    return 1.0


def eats_memory(agent, query):
    held = []
    while True:
        held.append(np.ones(1 << 24))


def eats_shared_memory(agent, query):
    """Which no limit on a process's own memory counts."""
    return len(mmap.mmap(-1, 1 << 33))


def names_rows_without_end(agent, query):
    """A few bytes a row here, a frame a row there."""
    given = {"issue": agent.frames(4).issue, "rows": np.zeros(1 << 20, np.int64)}
    return agent._ask("direction", start=given, end=given).size


def issues_an_odd_number(agent, query):
    return len(agent.frames(33))


def asks_what_was_issued(agent, query):
    """Whether what is said of frames that somebody else was issued is what is said of those that nobody was."""
    told = []
    for issue in ("train 0 to 33", "train 0 to 34"):
        try:
            agent._ask("outputs", frames={"issue": issue, "rows": np.zeros(0, np.int64)})
        except ForbiddenError as error:
            told.append(str(error))
    return float(told[0] != told[1])


def writes_by_sqlite(agent, query):
    sqlite3.connect("OUTSIDE").execute("create table was (here)")


def writes(agent, query):
    Path("OUTSIDE").write_text("was here")


def writes_in_c(agent, query):
    return ctypes.CDLL(None).open(b"OUTSIDE", os.O_CREAT | os.O_WRONLY, 0o600)


def sleeps(agent, query):
    time.sleep(60)


def sleeps_in_c(agent, query):
    """Holding the interpreter's lock, with every signal blocked that can be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(60)


def dies(agent, query):
    ctypes.string_at(0)


def exits(agent, query):
    os._exit(0)


def speaks_for_itself(agent, query):
    """Answers twice on the wire: once for the next agent."""
    for _ in range(2):
        agent._wire.send({"result": np.ones(1), "ticket": "guessed"})
    return 1.0


def remembers(agent, query):
    """How often it was asked before, by all that it could know it from."""
    before = len(SEEN) + len(os.environ.get("SEEN", "")) + len(list(Path(HERE).glob("seen*")))
    before += hasattr(type(agent), "seen")
    SEEN.append(agent)
    type(agent).seen = agent
    os.environ["SEEN"] = "x"
    Path(HERE, "seen").write_text("x")
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return float(before)


def is_good(agent, query):
    return agent.outputs(agent.frames(16)).probabilities.mean(0)


CHEATS = (
    reads_labels,
    lists_zoos,
    reads_hidden,
    reads_labels_by_arrow,
    patches_scorer,
    steps,
    makes_frames,
    swaps_frames,
    takes_agent,
    connects,
    connects_in_c,
    tells_how_many_processes_it_may_start,
    starts,
    forks,
    forks_in_c,
    leaves_one_behind,
    eats_memory,
    eats_shared_memory,
    names_rows_without_end,
    issues_an_odd_number,
    asks_what_was_issued,
    writes,
    writes_by_sqlite,
    writes_in_c,
    sleeps,
    sleeps_in_c,
    dies,
    exits,
    speaks_for_itself,
    remembers,
    is_good,
)


@detector(track="static")
def cheat(agent, query):
    return CHEATS[agent.tally.budget.rollouts](agent, query)


DETECTOR = cheat
