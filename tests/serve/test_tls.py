"""HTTPS, as curl and httpx see it: certificates, HTTP/2, the same limits, and clients that leave."""

from __future__ import annotations

import re
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import trustme

from support import skips
from support.serving import Program, Starter


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the server's certificate."""
    return trustme.CA()


@pytest.fixture
def program(serve: Starter, folder: Path, authority: trustme.CA) -> Program:
    """A server of HTTPS."""
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(folder / "chain.pem"), append=number > 0)
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    options = ("--tls-cert", "chain.pem", "--tls-key", "key.pem", "--max-body", "1KiB")
    return serve("app:paced", "--port", "0", *options)


def curl(folder: Path, url: str, body: str, *options: str) -> tuple[int, str]:
    """Its exit status and what it printed."""
    skips.without_curl()
    trust = ("--cacert", str(folder / "authority.pem"), "--noproxy", "*")
    done = subprocess.run(
        ["curl", "--silent", "--json", body, *trust, *options, url], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.guarantee("D-20")
@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_chooses_the_version_and_trusts_the_certificate(
    program: Program, folder: Path, option: str, version: str
) -> None:
    assert program.url.startswith("https://127.0.0.1:")
    url, body = f"{program.url}/generate", '{"count": 2, "each": 0}'
    told = ("--write-out", "%{http_version} %{http_code}")
    assert curl(folder, url, body, option, *told) == (0, f'[{{"n":0}},{{"n":1}}]{version} 200')


@pytest.mark.guarantee("D-20")
def test_limits_hold_over_tls_too(program: Program, folder: Path) -> None:
    told = ("--http1.1", "--output", "/dev/null", "--write-out", "%{http_code}")
    assert curl(folder, f"{program.url}/generate", f'"{"x" * 2000}"', *told) == (0, "413")


def test_a_refusal_arrives_at_a_client_that_still_sends(program: Program, folder: Path) -> None:
    """Old versions of curl lose an answer whose stream is reset meanwhile."""
    told = ("--http2", "--output", "/dev/null", "--write-out", "%{http_code}")
    for size in (2_000, 60_000, 2_000_000):
        (folder / "body.json").write_text(f'"{"x" * size}"')
        body = f"@{folder / 'body.json'}"
        assert [curl(folder, f"{program.url}/generate", body, *told) for _ in range(4)] == [(0, "413")] * 4


def test_httpx_streams_and_the_handler_hears_when_it_leaves(program: Program, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    request = {"count": 0, "each": 0.01}
    with (
        httpx.Client(verify=context, trust_env=False) as client,
        client.stream("POST", f"{program.url}/generate", json=request) as answer,
    ):
        assert next(answer.iter_lines()) == '{"n":0}'
    program.said("cancelled: client")


def test_who_does_not_trust_the_authority_is_not_served(program: Program) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"), httpx.Client(trust_env=False) as client:
        client.get(f"{program.url}/health/live")


@pytest.mark.guarantee("D-20")
def test_a_client_without_tls_gets_nothing(program: Program) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{program.port}/health/live", trust_env=False)
    assert program.get("/health/live").status_code == 200


def test_a_key_of_another_certificate_is_a_start_error(program: Program, serve: Starter, folder: Path) -> None:
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(str(folder / "other.pem"))
    ended = serve("app:echo", "--port", "0", "--tls-cert", "chain.pem", "--tls-key", "other.pem").ended(2)
    assert ended.err == "pybridge: --tls-key: other.pem is not the key of the certificate\n"
    ended = serve("app:echo", "--port", "0", "--tls-cert", "chain.pem", "--tls-key", "chain.pem").ended(2)
    assert re.fullmatch("pybridge: --tls-key: chain.pem holds no private key: .*\n", ended.err)
