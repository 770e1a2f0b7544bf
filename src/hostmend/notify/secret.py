"""The URL of a channel, from where it is kept. It is a secret: it holds tokens and passwords."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hostmend.core.errors import HostmendError
from hostmend.core.input_files import read_text
from hostmend.notify.settings import Channel, Settings, Vaulted

LIMIT = 64 * 1024


def url(
    channel: Channel,
    settings: Settings,
    password_files: Sequence[str] = (),
    passwords: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the URL of a channel.

    :param password_files: files of vault passwords beside the one that the settings name.
    :param passwords: vault passwords that a person gave.
    :raises HostmendError: in one line without any part of the secret.
    """
    environ = os.environ if environ is None else environ
    if channel.source == "url_env":
        made = environ.get(str(channel.value), "")
        if not made:
            raise HostmendError(f"the variable {channel.value} is not set")
    elif channel.source == "url_file":
        made = _read(Path(channel.value))
    elif isinstance(channel.value, Vaulted):
        return _decrypt(channel.value.text, settings, password_files, passwords, environ)
    else:
        made = str(channel.value)
    if made.startswith("$ANSIBLE_VAULT;"):
        made = _decrypt(made, settings, password_files, passwords, environ)
    return made.strip()


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LIMIT:
            raise HostmendError(f"{path} is too large for a URL")
        text = read_text(path, LIMIT).strip()
    except UnicodeDecodeError as error:
        raise HostmendError(f"{path} is not UTF-8") from error
    except OSError as error:
        raise HostmendError(f"{path} cannot be read: {error.strerror}") from error
    if not text:
        raise HostmendError(f"{path} is empty")
    return text


def _decrypt(text: str, settings: Settings, files: Sequence[str], passwords: Sequence[str], environ: Mapping[str, str]) -> str:
    from ansible.errors import AnsibleError  # type: ignore[import-untyped]
    from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
    from ansible.parsing.vault import VaultLib, VaultSecret, get_file_vault_secret  # type: ignore[import-untyped]

    named = [str(settings.vault_password_file)] if settings.vault_password_file else list(files)
    if not named and environ.get("ANSIBLE_VAULT_PASSWORD_FILE"):
        named = [environ["ANSIBLE_VAULT_PASSWORD_FILE"]]
    if not named and not passwords:
        raise HostmendError("its URL is in a vault, and no password was given (vault_password_file, or --vault-password-file)")
    secrets = [("default", VaultSecret(one.encode())) for one in passwords]
    try:
        for one in named:
            secret = get_file_vault_secret(filename=str(Path(one).expanduser()), loader=DataLoader())
            secret.load()
            secrets.append(("default", secret))
        return str(VaultLib(secrets).decrypt(text).decode("utf-8")).strip()
    except (AnsibleError, OSError, UnicodeDecodeError) as error:
        why = "its URL is in a vault that the password does not open, or the password file cannot be read"
        raise HostmendError(why) from error
