"""``paxos node --lease-s --drift``: what is refused, and where the lease is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paxos_cli import app
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import at_work, describe, until
from tests.support.commands import call
from tests.support.free_ports import free_addresses


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lease-s", "2"], "takes both"),
        (["--drift", "0.01"], "takes both"),
        (["--lease-s", "0", "--drift", "0.01"], "--lease-s: duration_s is 0.0"),
        (["--lease-s", "2", "--drift", "0.6"], "--drift: drift is 0.6, and must be a part of the"),
        (["--lease-s", "2", "--drift", "nan"], "--drift: drift is nan, and must be a part of the"),
        (["--lease-s", "1000", "--drift", "0.01"], "hold back promises"),
        (["--lease-s", "nan", "--drift", "0.01"], "--lease-s: duration_s is nan"),
    ],
)
def test_what_is_no_lease_is_refused_before_anything_is_made(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "cluster.toml"
    describe(config, {1: "127.0.0.1:9"})
    typed = ["node", "--id", "1", "--create", "--cluster", str(config), *words]
    assert app.run(typed) == ExitCode.BAD_ARGUMENTS
    assert said in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [config]


@pytest.mark.slow
def test_the_lease_of_the_leader_is_in_the_status(tmp_path: Path) -> None:
    """A server alone grants itself one; reads renew it."""
    config = tmp_path / "cluster.toml"
    addresses = {int(me): f"{host}:{port}" for me, (host, port) in free_addresses(1).items()}
    describe(config, addresses)
    where = "--cluster", config
    with at_work(
        "node", "--id", "1", "--create", *where, "--lease-s", "50", "--drift", "0.01"
    ) as it:
        until(it, "server 1")
        assert call("kv", "put", "colour", "blue", *where).returncode == ExitCode.DONE
        lease_s = None
        while lease_s is None:
            assert call("kv", "get", "colour", *where).stdout == "blue\n"
            (server,) = json.loads(call("log", "status", "--json", *where).stdout)
            lease_s = server["logs"]["kv"]["lease_s"]
        assert 0 < lease_s <= 50
        assert "with a lease for" in call("log", "status", "--plain", *where).stdout
