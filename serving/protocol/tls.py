"""Encrypted gRPC: certificates and keys, looked at before a server or a client fails on them without a useful word."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from core.errors import ServingError


@dataclass(frozen=True)
class ServerTls:
    """A server's certificate and key, PEM files; with ``clients``, only clients whose certificates that CA signed."""

    certificate: Path
    key: Path
    clients: Path | None = None

    def check(self) -> None:
        """Raise ServingError, naming the file, for what would not work."""
        check_pair(self.certificate, self.key, "--tls-cert", "--tls-key")
        if self.clients:
            _certificates(self.clients, "--tls-ca")

    @property
    def name(self) -> str:
        """A name that the certificate is for, for whoever connects by an address."""
        (certificate, *_) = _certificates(self.certificate, "--tls-cert")
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
        except x509.ExtensionNotFound:
            found = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if not found:
            raise ServingError(f"the certificate {self.certificate} is for no name: make it for the server's")
        return found[0]


@dataclass(frozen=True)
class ClientTls:
    """What a client trusts, a PEM file; its own certificate and key, for servers that ask for one.

    ``name`` is the server's where it is not the one in the address.
    """

    trusted: Path
    certificate: Path | None = None
    key: Path | None = None
    name: str | None = None

    def check(self) -> None:
        """Raise ServingError, naming the file, for what would not work."""
        _certificates(self.trusted, "--tls-ca")
        if (self.certificate is None) != (self.key is None):
            raise ServingError("--tls-cert and --tls-key go together: give both, or none")
        if self.certificate and self.key:
            check_pair(self.certificate, self.key, "--tls-cert", "--tls-key")


def check_pair(certificate: Path, key: Path, certificate_flag: str, key_flag: str) -> None:
    """Raise ServingError unless the files hold a certificate that is valid now, and its key."""
    (leaf, *_) = _certificates(certificate, certificate_flag)

    now = datetime.datetime.now(datetime.UTC)
    if now > leaf.not_valid_after_utc:
        raise ServingError(f"the certificate {certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it")
    if now < leaf.not_valid_before_utc:
        raise ServingError(f"the certificate {certificate} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")

    try:
        public = load_pem_private_key(_read(key, key_flag), None).public_key()
    except (ValueError, TypeError) as error:  # not a key; one with a password
        raise ServingError(f"{key} is not a private key in PEM without a password ({error}): see {key_flag}") from None

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise ServingError(f"{key} is not the key of the certificate {certificate}: give the two that belong together")


def _certificates(path: Path, flag: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, flag))
    except ValueError:
        raise ServingError(f"{path} is not a certificate in PEM: see {flag}") from None


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServingError(f"{path} cannot be read ({error.strerror}): see {flag}") from None
