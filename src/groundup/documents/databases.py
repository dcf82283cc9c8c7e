"""Databases on a server, given by URL where a path is given: `postgresql://user@host/blog`, `mysql://host/shop`.

The password is a field of its own that no name, message or file of ours holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from groundup.errors import UserError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_KINDS = {"postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
_MYSQL_PARAMETERS = {"unix_socket", "ssl_ca"}
_WHERE_PASSWORDS_GO = {"postgresql": "PGPASSWORD or ~/.pgpass", "mysql": "MYSQL_PWD"}


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a server; `str()` of it is its URL without the password."""

    kind: str
    """"postgresql" or "mysql"."""
    name: str
    """The URL without the password."""
    connection: dict[str, str]
    """Of user, host, port, database and the URL's parameters what was given, without passwords."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """password, sslpassword: what must not be shown or kept."""

    def __str__(self) -> str:
        return self.name


def find_server(path: str) -> Server | None:
    """The server that `path` is the URL of; None for the path of a file. Raises UserError for other and for bad
    URLs."""
    if not (match := _URL.match(path)):
        return None
    scheme = match[1].lower()
    where = f"{scheme}://..."  # a bad URL may have its password anywhere
    if scheme not in _KINDS:
        raise UserError(
            "URLs of this kind are not read",
            where=where,
            fix="give files or folders, or postgresql://user@host/database or mysql://user@host/database",
        )
    kind = _KINDS[scheme]
    bad = UserError(
        "is not a valid URL",
        where=where,
        fix=f"write {scheme}://user@host:port/database, with @ / ? # : in a name or password as %40 %2F %3F %23 %3A;"
        f" the password may also come from {_WHERE_PASSWORDS_GO[kind]}",
    )
    try:
        parts = urlsplit(path)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError:
        raise bad from None
    account, _, address = parts.netloc.rpartition("@")
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?", address)
    # An @, # or ? of a password that is not escaped would put its end behind the address, where it would be shown.
    if not found or "@" in account + parts.path + parts.query or parts.fragment or "#" in path:
        raise bad
    user, _, password = account.partition(":")
    given = {
        "user": unquote(user),
        "host": unquote(found[1].strip("[]")),
        "port": found[2] or "",
        "database": unquote(parts.path.removeprefix("/")),
    }
    secrets = {"password": unquote(password)} if password else {}
    for key, value in pairs:
        (secrets if "password" in key.lower() else given)[key] = value
    connection = {key: value for key, value in given.items() if value}
    if kind == "mysql" and (strange := connection.keys() - {"user", "host", "port", "database"} - _MYSQL_PARAMETERS):
        raise UserError(
            f"has an unknown parameter {min(strange)!r}", where=where, fix=f"known are {sorted(_MYSQL_PARAMETERS)}"
        )
    shown = urlencode([(key, value) for key, value in pairs if "password" not in key.lower()], safe="/")
    name = f"{scheme}://{user + '@' if user else ''}{address}{quote(unquote(parts.path))}"
    return Server(kind, f"{name}?{shown}" if shown else name, connection, secrets)


def check_servers(paths: Sequence[Path | Server], query: str) -> None:
    """Raises UserError when there are servers in `paths` but no query, or no driver for one of them."""
    for server in paths:
        if not isinstance(server, Server):
            continue
        if not query.strip():
            raise UserError(
                "a query is needed: which rows are the documents?",
                where=str(server),
                fix="--set 'data.query=select body from posts'",
            )
        if find_spec(_DRIVERS[server.kind]) is None:
            raise UserError(
                f"the driver {_DRIVERS[server.kind]} is not installed",
                where=str(server),
                fix='pip install "groundup[databases]"',
            )


def could_not_read(server: Server, reason: str) -> UserError:
    """The error for a server that gave nothing."""
    return UserError(
        reason,
        where=str(server),
        fix="check the address, the user and data.query; no password is kept in a run or corpus: give it in the URL,"
        f" or by {_WHERE_PASSWORDS_GO[server.kind]}",
    )
