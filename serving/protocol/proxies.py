"""Proxies of the environment: whether one would be asked for a server, which on this machine is never right."""

import ipaddress
import os
from collections.abc import Iterable

_NAMES = ("grpc_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_GRPC = _NAMES[:3]  # which gRPC reads, in this order (its doc/environment_variables.md)
_SPARED = ("no_grpc_proxy", "no_proxy")


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, in brackets or not, is this machine by itself."""
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def named() -> list[str]:
    """The variables that name a proxy."""
    return [name for name in _NAMES if os.environ.get(name)]


def spared(hosts: Iterable[str]) -> bool:
    """Whether the environment has all of ``hosts`` asked directly."""
    listed = {each.strip() for name in ("no_proxy", "NO_PROXY") for each in os.environ.get(name, "").split(",")}
    return "*" in listed or set(hosts) <= listed


def asked_by_grpc(url: str) -> str:
    """The variable with the proxy that gRPC asks for the server at ``url``; empty for none."""
    host = url.rpartition(":")[0]
    proxy = next((name for name in _GRPC if os.environ.get(name)), "")
    endings = next((os.environ[name] for name in _SPARED if os.environ.get(name)), "")
    direct = is_loopback(host) or any(host.endswith(each.strip()) for each in endings.split(",") if each.strip())
    return "" if direct else proxy
