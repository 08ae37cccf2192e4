"""A server that speaks TLS only, and the certificates it needs."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .process import HOST, RedisProcess, missing
from .servers import Servers

x509: Any = None
with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID


class TLSServer(Servers):
    """One server that speaks TLS only; its certificate is signed by a CA made for it."""

    def __init__(self, *, appendonly: bool = False, arguments: Sequence[str] = ()) -> None:
        self.processes = [_TLSProcess(appendonly=appendonly, arguments=arguments)]

    @property
    def ca(self) -> str:
        """The file of the CA's certificate."""
        return str(self.processes[0].directory) + "/ca.pem"

    @property
    def hosts(self) -> list[Any]:
        return [{"address": f"rediss://{HOST}:{self.processes[0].port}", "ssl_ca_certs": self.ca}]


class _TLSProcess(RedisProcess):
    def start(self) -> None:
        if x509 is None:
            missing("cryptography: pip install cryptography")
        super().start()

    def _port_arguments(self) -> list[str]:
        assert self.directory is not None
        if not (self.directory / "ca.pem").exists():
            make_certificates(self.directory)
        files = {"tls-ca-cert-file": "ca.pem", "tls-cert-file": "server.pem", "tls-key-file": "server.key"}
        named = [word for option, file in files.items() for word in (f"--{option}", str(self.directory / file))]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", *named]

    def _client_options(self) -> dict[str, Any]:
        return {**super()._client_options(), "ssl": True, "ssl_ca_certs": f"{self.directory}/ca.pem"}


def make_certificates(directory: Path) -> None:
    """Write ``ca.pem``, and ``server.pem`` with ``server.key`` for this machine, valid for a day."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of these tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    plain = (
        x509.CertificateBuilder()
        .issuer_name(ca_name)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )
    ca = (
        plain.subject_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(issuer, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    server = (
        plain.subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(server.public_bytes(pem))
    traditional, open_ = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (directory / "server.key").write_bytes(key.private_bytes(pem, traditional, open_))


def _usage(**used: bool) -> Any:
    known = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    return x509.KeyUsage(
        **{**dict.fromkeys([*known.split(), "crl_sign", "encipher_only", "decipher_only"], False), **used}
    )
