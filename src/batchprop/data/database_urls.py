"""The URLs of databases, whose passwords nobody else may see."""

from __future__ import annotations

import re
from urllib.parse import unquote

from batchprop.errors import ParameterError

_FORMS = "sqlite:///flowers.db, or postgresql://user@host/database"
_SCHEMES = ("sqlite", "postgresql", "postgres")
# To the last @, as a password may hold any character.
_USER = re.compile(r"(?<=://)([^:/?#@]*):(.*)@")
_PARAMETER = re.compile(r"\b((?:ssl)?password=)([^&\s]*)")


def redact_url(url: str) -> str:
    """Return the URL of a database without its passwords.

    >>> redact_url("postgresql://ann:s3/cr@t@host/flowers?sslpassword=x&user=ann")
    'postgresql://ann:***@host/flowers?sslpassword=***&user=ann'
    """
    return _PARAMETER.sub(r"\1***", _USER.sub(r"\1:***@", url))


def hide_passwords(text: str, url: str) -> str:
    """Return a text in which the passwords of a URL are stars.

    >>> hide_passwords("no user 'ann' with s3cret", "postgresql://ann:s3cret@host/flowers")
    "no user 'ann' with ***"
    """
    for match in (*_USER.finditer(url), *_PARAMETER.finditer(url)):
        for password in {match[2], unquote(match[2])} - {""}:
            text = text.replace(password, "***")
    return redact_url(text)


def check_url(url: str) -> None:
    """Refuse what is not the URL of a database that can be read.

    Raises:
        ParameterError: it is not.

    >>> check_url("mysql://host/flowers")
    Traceback (most recent call last):
    batchprop.errors.ParameterError: database='mysql://host/flowers' is not the URL of a database that ...
    """
    if url.partition("://")[0] not in _SCHEMES:
        raise ParameterError(
            f"database={redact_url(url)!r} is not the URL of a database that can be read: give {_FORMS}"
        )
    if (match := _USER.search(url)) and set("/?#@") & set(match[2]):
        raise ParameterError(
            f"database={redact_url(url)!r} has an @ behind one of /, ?, # and @: write them in a password as "
            "%2F, %3F, %23 and %40, or leave it out and set PGPASSWORD"
        )
