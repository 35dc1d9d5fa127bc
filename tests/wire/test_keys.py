"""Key files: secret ones are their owner's alone, the list holds public ones only, mistakes are told in words."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import UserError
from edge.storage.key_list import allow, new_pair, revoke
from edge.wire.keys import allowed, client_keys, read_pair, read_public

BAD = b'metadata\ncurve\n    public-key = "too short"\n'


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        run(*arguments)
    return str(caught.value)


def test_a_pair_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    public, secret = new_pair(tmp_path / "keys", "gateway")
    assert [stat.S_IMODE(p.stat().st_mode) for p in (public, secret)] == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert read_pair(secret)[0] == read_public(public)
    assert len(read_pair(secret)[1]) == 40


def test_the_way_of_a_key_from_new_to_revoked(tmp_path: Path) -> None:
    clients = tmp_path / "clients"
    assert run("new", "gateway", "--dir", tmp_path) == (
        f"{tmp_path}/gateway.key  public: to be given to the other side\n"
        f"{tmp_path}/gateway.key_secret  secret: to be given to nobody\n"
    )
    assert run("allow", tmp_path / "gateway.key", "--clients", clients) == f"allowed: {clients}/gateway.key\n"
    assert b"secret" not in (clients / "gateway.key").read_bytes()
    key = read_public(tmp_path / "gateway.key").decode()
    assert run("list", "--clients", clients).split() == ["name", "public", "key", "gateway", key]
    assert run("revoke", "gateway", "--clients", clients) == f"revoked: {clients}/gateway.key\n"
    assert run("list", "--clients", clients) == "nobody is allowed\n"


def test_a_key_is_listed_whole_whatever_stands_in_it(tmp_path: Path) -> None:
    """Z85 has brackets and colons, in which a terminal's library sees colours and pictures: one key in some dozen."""
    keys = ["[j9tz<%HLrGQkz/F]:x:[/][red]=-:warning:0", "[/]" + "0" * 34 + "[/]", "[bold]" + "1" * 34]
    for number, key in enumerate(keys):
        (tmp_path / f"plc-{number}.key").write_text(f'metadata\ncurve\n    public-key = "{key}"\n')
        run("allow", tmp_path / f"plc-{number}.key", "--clients", tmp_path / "clients")
    assert [line.split() for line in run("list", "--clients", tmp_path / "clients").splitlines()] == [
        ["name", "public", "key"],
        *([f"plc-{number}", key] for number, key in enumerate(keys)),
    ]


def test_a_lines_config_names_the_list(tmp_path: Path) -> None:
    new_pair(tmp_path, "gateway")
    config = tmp_path / "cam1.yaml"
    text = "camera: cam1\nsource: {kind: synthetic}\nmodel: {bundle: b}\n"
    config.write_text(text + "outputs: {zmq: {curve: {server_key: s, clients: allowed}}}\n")
    run("allow", tmp_path / "gateway.key", "--clients", config, "--name", "plc-1")
    assert list(allowed(tmp_path / "allowed")[0].values()) == ["plc-1"]
    config.write_text(text)
    assert refused("list", "--clients", config) == (
        f"{config}: has no outputs.zmq.curve\n  fix: name the folder of keys, or add curve to the config"
    )


def test_a_pair_is_never_overwritten(tmp_path: Path) -> None:
    new_pair(tmp_path, "gateway")
    assert refused("new", "gateway", "--dir", tmp_path) == (
        f"{tmp_path}/gateway.key is there already\n  fix: choose another name, or remove the old pair first"
    )


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a b", "x" * 65])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    assert refused("new", "--dir", tmp_path, "--", name) == (
        f"{name!r} is no name for a key\n  expected: letters, digits and _ . @ -, at most 64"
    )


def test_a_secret_key_is_not_put_on_the_list(tmp_path: Path) -> None:
    _, secret = new_pair(tmp_path, "gateway")
    assert refused("allow", secret, "--clients", tmp_path / "clients") == (
        f"{secret}: a secret key stays with its owner\n  fix: name the .key file that lies beside it"
    )


def test_two_keys_do_not_share_a_name(tmp_path: Path) -> None:
    clients = tmp_path / "clients"
    for folder in ("a", "b"):
        new_pair(tmp_path / folder, "gateway")
    allow(clients, tmp_path / "a" / "gateway.key")
    allow(clients, tmp_path / "a" / "gateway.key")
    assert refused("allow", tmp_path / "b" / "gateway.key", "--clients", clients) == (
        f"{clients}/gateway.key: another key has this name\n  fix: --name another, or `edge keys revoke gateway` first"
    )


def test_one_key_does_not_stand_on_the_list_under_two_names(tmp_path: Path) -> None:
    clients = tmp_path / "clients"
    new_pair(tmp_path, "gateway")
    run("allow", tmp_path / "gateway.key", "--clients", clients, "--name", "alice")
    assert refused("allow", tmp_path / "gateway.key", "--clients", clients, "--name", "bob") == (
        f"{tmp_path}/gateway.key: this key is on the list already, as alice\n"
        "  fix: `edge keys revoke alice` first, to give it another name"
    )
    assert [path.name for path in clients.iterdir()] == ["alice.key"]


def test_who_revokes_a_key_that_somebody_copied_hears_that_it_is_still_in(tmp_path: Path) -> None:
    clients = tmp_path / "clients"
    for name in ("alice", "carol"):
        new_pair(tmp_path, name)
        allow(clients, tmp_path / f"{name}.key")
    (clients / "bob.key").write_bytes((clients / "alice.key").read_bytes())
    key, other = (read_public(tmp_path / f"{name}.key").decode() for name in ("alice", "carol"))
    assert run("list", "--clients", clients).split() == ["name", "public", "key", "alice,", "bob", key, "carol", other]
    assert refused("revoke", "alice", "--clients", clients) == (
        f"{clients}/alice.key: removed, but its key may still connect: it is on the list as bob, too\n"
        "  fix: `edge keys revoke bob`"
    )
    assert [path.name for path in sorted(clients.iterdir())] == ["bob.key", "carol.key"]
    assert run("revoke", "bob", "--clients", clients) == f"revoked: {clients}/bob.key\n"


def test_a_damaged_file_is_taken_off_the_list(tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_bytes(BAD)
    assert revoke(tmp_path, "bad") == tmp_path / "bad.key"
    assert not (tmp_path / "bad.key").exists()


def test_who_is_not_on_the_list_cannot_be_revoked(tmp_path: Path) -> None:
    assert refused("revoke", "gateway", "--clients", tmp_path) == (
        f"{tmp_path}: no key named gateway\n  expected: the list is empty"
    )
    new_pair(tmp_path, "plc")
    assert refused("revoke", "../plc", "--clients", tmp_path) == f"{tmp_path}: no key named ../plc\n  expected: one of plc"
    assert revoke(tmp_path, "plc.key") == tmp_path / "plc.key"


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    _, secret = new_pair(tmp_path, "server")
    secret.chmod(mode)
    with pytest.raises(UserError) as caught:
        read_pair(secret)
    assert str(caught.value) == (
        f"{secret}: a secret key that others may read\n"
        f"  received: mode 0{mode:o}\n"
        "  expected: 0600, or 0640 for a group of its own\n"
        f"  fix: chmod 600 {secret}; if somebody may have seen it, make a new pair"
    )
    secret.chmod(0o640)
    read_pair(secret)


def test_files_that_hold_no_key_are_named(tmp_path: Path) -> None:
    public, secret = new_pair(tmp_path, "gateway")
    with pytest.raises(UserError) as caught:
        client_keys(public, public)
    assert str(caught.value) == (
        f"{public}: holds no secret key\n  fix: name the .key_secret file that `edge keys new` made"
    )
    with pytest.raises(UserError) as caught:
        client_keys(secret, tmp_path / "none.key")
    assert str(caught.value) == (
        f"{tmp_path}/none.key: no key can be read: No such file or directory\n  fix: `edge keys new NAME` makes a pair"
    )
    for text in (BAD, b"", b"nonsense"):
        (tmp_path / "bad.key").write_bytes(text)
        with pytest.raises(UserError) as caught:
            read_public(tmp_path / "bad.key")
        assert str(caught.value) == (
            f'{tmp_path}/bad.key: holds no CURVE key\n  expected: a line: public-key = "40 characters of Z85"'
        )


def test_a_damaged_file_on_the_list_is_told_and_harms_no_other(tmp_path: Path) -> None:
    new_pair(tmp_path, "good")
    (tmp_path / "bad.key").write_bytes(BAD)
    names, wrong = allowed(tmp_path)
    assert list(names.values()) == ["good"]
    assert wrong == [f"{tmp_path}/bad.key: holds no CURVE key"]
    assert refused("list", "--clients", tmp_path) == f"{tmp_path}/bad.key: holds no CURVE key"


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused("list", "--clients", tmp_path / "none") == (
        f"{tmp_path}/none: the list of allowed keys cannot be read: No such file or directory\n"
        "  fix: `edge keys allow CLIENT.key --clients FOLDER` makes it"
    )
