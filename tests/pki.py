"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path

_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(directory: Path, *arguments: str) -> None:
    """Run openssl in a directory."""
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def authority(directory: Path, name: str) -> None:
    """Make NAME.pem and NAME.key of an authority."""
    openssl(directory, "req", "-x509", *_NEW, "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")


def certificate(directory: Path, name: str, signer: str) -> None:
    """Make NAME.pem and NAME.key, for server and client on 127.0.0.1, signed by an authority."""
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl(directory, "req", *_NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.pem",
            "-CAkey", f"{signer}.key", "-CAcreateserial", "-days", "2", "-extfile", "san",
            "-out", f"{name}.pem")
