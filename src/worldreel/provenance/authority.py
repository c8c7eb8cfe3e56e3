"""The certificates videos are signed with: this machine's own, made on first run, or given ones.

A certificate authority of two levels, as C2PA asks for: a root (CA, signs certificates only) and a
signing certificate under it with the uses emailProtection and c2pa-kp-claimSigning, both on the
curve P-256. The root is the anchor: whoever trusts `root.pem` sees "Trusted". No name of a person
or a machine is in them, only a random number that tells one authority from another.

Without a time stamp a signature counts only while its certificate is valid, so ours live for ten
years and are renewed after five: every video can be checked for five years at least.
"""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.errors import OutputError, message, shown
from worldreel.provenance.store import Settings, folder

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Credentials", "anchors", "credentials", "root_file"]

_ROOT_YEARS, _LEAF_YEARS, _RENEWED_YEARS = 30, 10, 5
_YEAR = datetime.timedelta(days=365)
_LEEWAY = datetime.timedelta(hours=1)  # clocks that go a little slow find it valid already
_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A certificate `chain` (PEM, the signer's first), its private `key` (PEM) and C2PA's name of
    the `algorithm`."""

    chain: str
    key: str = field(repr=False)
    algorithm: str


def root_file() -> Path:
    """The anchor of this machine, which others may be given (it is there once something was
    signed)."""
    return folder() / "authority" / "root.pem"


def credentials(settings: Settings) -> Credentials:
    """What to sign with; makes this machine's authority if there is none yet.

    Raises `OutputError` if given files do not fit, or nothing can be written.
    """
    if settings.certificates:
        return _given(Path(settings.certificates), Path(settings.key))
    place = root_file().parent
    try:
        if not place.is_dir():
            _make(place)
        return _own(place)
    except (OSError, ValueError) as error:
        came = f"the signing keys in {shown(str(place), limit=200)} cannot be made or used"
        needed = "give access to that folder or move it away, then new ones are made"
        raise OutputError(message(came, needed)) from error


def anchors(settings: Settings) -> str:
    """The root certificates (PEM) whose signatures are trusted; "" if there are none.

    Raises `OutputError` if a file named by the settings cannot be read.
    """
    found = []
    with suppress(OSError, UnicodeDecodeError):
        found.append(root_file().read_text("ascii"))
    for name in settings.anchors:
        found.append(_text(Path(name), "-----BEGIN CERTIFICATE-----"))
    return "\n".join(found)


def _text(path: Path, needed: str) -> str:
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(1_000_000)
    except (OSError, UnicodeDecodeError, ValueError):
        text = ""
    if needed not in text:
        came = f"{shown(str(path), limit=200)} holds no certificate or key"
        raise OutputError(message(came, "a PEM file is needed"))
    return text


def _given(certificates: Path, key_file: Path) -> Credentials:
    """Certificates of the user's own, checked: the key belongs to the first, which is valid."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    chain, key = _text(certificates, "-----BEGIN CERT"), _text(key_file, "PRIVATE KEY-----")
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        private: Any = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError) as error:
        came = f"{shown(certificates.name)} or {shown(key_file.name)} cannot be understood"
        raise OutputError(message(came, "a PEM chain and a PEM key without password")) from error
    if private.public_key() != leaf.public_key():
        came = f"the key in {shown(key_file.name)} is not that of the first certificate"
        raise OutputError(message(came, "give the key that belongs to it"))
    if not leaf.not_valid_before_utc <= datetime.datetime.now(datetime.UTC) < _end(leaf):
        came = f"{shown(certificates.name)} is valid until {_end(leaf):%Y-%m-%d}"
        raise OutputError(message(came, "a certificate that is valid now is needed"))
    return Credentials(chain=chain, key=_pem(private), algorithm=_algorithm(private))


def _algorithm(key: Any) -> str:
    """C2PA's name for signing with `key`."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    needed = "P-256, P-384, P-521, Ed25519 or RSA from 2048 bits are needed"
    raise OutputError(message("the key is of a kind that C2PA does not allow", needed))


def _own(place: Path) -> Credentials:
    """This machine's signing key, renewed if it is getting old."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    text = (place / "signing.pem").read_bytes()
    leaf = x509.load_pem_x509_certificates(text)[0]
    now = datetime.datetime.now(datetime.UTC)
    if _end(leaf) - now < _RENEWED_YEARS * _YEAR:
        root_key: Any = serialization.load_pem_private_key((place / "root.key").read_bytes(), None)
        root = x509.load_pem_x509_certificates((place / "root.pem").read_bytes())[0]
        beside = place / f"signing.{secrets.token_hex(4)}.part"
        _secret(beside, _signing(root, root_key))
        os.replace(beside, place / "signing.pem")
        text = (place / "signing.pem").read_bytes()
        leaf = x509.load_pem_x509_certificates(text)[0]
    key: Any = serialization.load_pem_private_key(text, None)
    if key.public_key() != leaf.public_key():
        raise ValueError("key and certificate are not a pair")
    return Credentials(chain=_pem(leaf), key=_pem(key), algorithm=_algorithm(key))


def _make(place: Path) -> None:
    """A new authority in `place`: all of it or nothing, and of two programs one wins."""
    from cryptography.hazmat.primitives.asymmetric import ec

    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = Path(tempfile.mkdtemp(prefix="authority-", suffix=".part", dir=place.parent))
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        root = _certificate(f"worldreel {secrets.token_hex(4)} root", key, None, None)
        _secret(beside / "root.key", _pem(key))
        _secret(beside / "signing.pem", _signing(root, key))
        (beside / "root.pem").write_text(_pem(root), "ascii")
        try:
            os.rename(beside, place)
        except OSError:
            if not place.is_dir():  # otherwise another program was first, and its keys count
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _signing(root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey) -> str:
    """A new key and its certificate under `root`, as PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = root.subject.rfc4514_string().partition("CN=")[2].partition(",")[0]
    leaf = _certificate(name.removesuffix(" root") + " signing", key, root, root_key)
    return _pem(key) + _pem(leaf)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate | None,
    root_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    """The certificate of `key`: a root if `root` is None, else for signing under `root`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    names = [(x509.NameOID.ORGANIZATION_NAME, "worldreel"), (x509.NameOID.COMMON_NAME, name)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    issuer_key = x509.SubjectKeyIdentifier.from_public_key((root_key or key).public_key())
    by_root = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key)
    end = now + _ROOT_YEARS * _YEAR
    if root is not None:
        end = min(now + _LEAF_YEARS * _YEAR, _end(root))
    build = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if root is None else root.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(root is None, 0 if root is None else None), True)
        .add_extension(_key_usage(signs_certificates=root is None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(by_root, False)
    )
    if root is not None:
        uses = [x509.ObjectIdentifier(oid) for oid in (_EMAIL_PROTECTION, _CLAIM_SIGNING)]
        build = build.add_extension(x509.ExtendedKeyUsage(uses), False)
    return build.sign(root_key or key, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _end(certificate: x509.Certificate) -> datetime.datetime:
    return certificate.not_valid_after_utc


def _pem(thing: Any) -> str:
    """A certificate or private key as PEM."""
    from cryptography.hazmat.primitives import serialization as pem

    if hasattr(thing, "private_bytes"):
        plain = pem.NoEncryption()
        return str(thing.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain), "ascii")
    return str(thing.public_bytes(pem.Encoding.PEM), "ascii")


def _secret(path: Path, text: str) -> None:
    """`text` in a new file that only this user may read, from its first moment on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
