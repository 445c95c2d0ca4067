"""Encrypted gRPC: to a real server, and what is said of certificates that would not work."""

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.bundle import GOLDEN
from core.difference import levels_apart
from core.errors import ServerUnavailable, ServingError
from core.golden import Golden
from serving.client.sampler import Sampler
from serving.protocol.tls import ClientTls, ServerTls
from serving.server.launch import Access, free_ports
from serving.server.supervisor import Supervisor

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA that signs certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate(self.name, self.key, ca=True)
        self.path = self._write(f"{name}.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, start=NOW - DAY, end=NOW + DAY) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key, start, end, names=[x509.DNSName(name)])
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self._write(f"{name}.crt", certificate.public_bytes(pem)), self._write(f"{name}.key", private)

    def _certificate(self, subject, key, start=NOW - DAY, end=NOW + DAY, ca=False, names=()):
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number(), start, end)
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
        if names:
            names = [*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "studio")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def test_a_client_that_is_trusted_gets_its_images_and_no_other_does(
    make_repository, bundle, authority, stranger, tmp_path
):
    golden = Golden.read(bundle / GOLDEN)
    access = Access(tls=ServerTls(*authority.sign("assets.studio.example"), authority.path))
    with Supervisor(make_repository(), free_ports(), access=access) as supervisor:
        trusted = ClientTls(authority.path, *authority.sign("editor"))
        with Sampler("tiny", supervisor.url, tls=trusted) as sampler:
            (image,) = sampler.sample_latents(golden.inputs["z"][:1])
        assert levels_apart(image, golden.images[0]) <= 1
        others = {
            "nothing encrypted": None,
            "no certificate": ClientTls(authority.path),
            "a stranger's": ClientTls(authority.path, *stranger.sign("editor")),
            "a server that is not trusted": ClientTls(stranger.path, *authority.sign("other")),
        }
        for tls in others.values():
            with pytest.raises(ServerUnavailable) as raised:
                Sampler("tiny", supervisor.url, tls=tls)
            assert "\n" not in str(raised.value)


def test_a_certificate_without_a_ca_for_clients_lets_all_in(make_repository, authority):
    access = Access(tls=ServerTls(*authority.sign("assets.studio.example")))
    with Supervisor(make_repository(), free_ports(), access=access) as supervisor:
        with Sampler("tiny", supervisor.url, tls=ClientTls(authority.path)) as sampler:
            assert len(list(sampler.sample(range(3)))) == 3
        other = ClientTls(authority.path, name="elsewhere.example")
        with pytest.raises(ServerUnavailable):
            Sampler("tiny", supervisor.url, tls=other)


def test_what_would_not_work_is_named_with_its_flag(authority, stranger, tmp_path):
    certificate, key = authority.sign("assets")
    _, other_key = authority.sign("other")
    old, old_key = authority.sign("old", NOW - 3 * DAY, NOW - 2 * DAY)
    early, early_key = authority.sign("early", NOW + DAY, NOW + 2 * DAY)
    (tmp_path / "text").write_text("nothing")
    cases = {
        "nowhere cannot be read .*--tls-cert": (tmp_path / "nowhere", key),
        "text is not a certificate .*--tls-cert": (tmp_path / "text", key),
        "text is not a private key .*--tls-key": (certificate, tmp_path / "text"),
        "other.key is not the key of": (certificate, other_key),
        "expired on": (old, old_key),
        "not valid before": (early, early_key),
    }
    for said, files in cases.items():
        for check in (ServerTls(*files), ClientTls(authority.path, *files)):
            with pytest.raises(ServingError, match=said) as raised:
                check.check()
            assert "\n" not in str(raised.value)
    for check in (ServerTls(certificate, key, tmp_path / "text"), ClientTls(tmp_path / "text")):
        with pytest.raises(ServingError, match=r"text is not a certificate .*--tls-ca"):
            check.check()
    with pytest.raises(ServingError, match="--tls-cert and --tls-key go together"):
        ClientTls(authority.path, certificate).check()


def test_a_certificate_is_for_a_name(authority, tmp_path):
    certificate, key = authority.sign("assets.studio.example")
    assert ServerTls(certificate, key).name == "assets.studio.example"
    assert ServerTls(authority.path, key).name == "studio"
