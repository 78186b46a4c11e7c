#!/usr/bin/env python3
"""Writes pkcs11_messages.json: messages of the PKCS#11 key manager, and of the public sample proxy, by a second implementation.

Needs the PyPI package `cryptography`. The output depends on nothing but this file: run it again and compare.

The sample proxy is aws-samples/aws-kms-xks-proxy; what it authenticates is written in `build_full_aad` and
`aad_and_digest` of its xks-axum/src/xks_proxy/handlers/mod.rs: the length of the AAD, the SHA-256 of the AAD unless the
request has none, the length of the metadata, the metadata. Its encrypt.rs gives that, a tag of 16 bytes and an IV to
C_Encrypt with CKM_AES_GCM: 12 random bytes, or what the HSM makes, which need not be 12 (a Luna may append 16). The
messages here were not recorded from a running sample proxy; they are made from its source as it was read at commit
b33dfee1753f977e2a440db78ed7acdd89d9fe6e (mod.rs) and 1ae3b6f4c966905e642de8dc235a532ab8c91c24 (encrypt.rs).
"""

import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def some_bytes(name: str, length: int) -> bytes:
    """Bytes without structure that anyone can make again."""
    return hashlib.shake_256(name.encode()).digest(length)


def framed(aad: bytes, metadata: bytes) -> bytes:
    return len(aad).to_bytes(2, "big") + aad + len(metadata).to_bytes(1, "big") + metadata


def whole(aad: bytes, metadata: bytes) -> bytes:
    return framed(aad, metadata)


def sha256(aad: bytes, metadata: bytes) -> bytes:
    return b"\xff\x02" + hashlib.sha256(framed(aad, metadata)).digest()


def sample(aad: bytes, metadata: bytes) -> bytes:
    return len(aad).to_bytes(2, "big") + hashlib.sha256(aad).digest() + len(metadata).to_bytes(1, "big") + metadata


def sample_without_aad(aad: bytes, metadata: bytes) -> bytes:
    assert aad == b""
    return framed(aad, metadata)


def vector(number: int, framing, metadata: bytes, plaintext_len: int, aad_len: int, iv_len: int = 12) -> dict:
    key = some_bytes("key", 32)
    iv = some_bytes(f"iv {number}", iv_len)
    plaintext = some_bytes(f"plaintext {number}", plaintext_len)
    aad = some_bytes(f"aad {number}", aad_len)
    sealed = AESGCM(key).encrypt(iv, plaintext, framing(aad, metadata))
    fields = {
        "key": key,
        "iv": iv,
        "plaintext": plaintext,
        "aad": aad,
        "metadata": metadata,
        "ciphertext": sealed[:-16],
        "tag": sealed[-16:],
    }
    return {"framing": framing.__name__} | {name: value.hex() for name, value in fields.items()}


CASES = [
    (whole, b"\x01\x00\x00\x01", 32, 33),
    (whole, b"\x01\x00\x00\x01", 0, 0),
    (whole, b"\x01\x00\x00\x01", 4300, 8192),
    (sha256, b"\x02\x00\x00\x01", 32, 33),
    (sha256, b"\x02\x00\x00\x01", 1, 8192),
    (sample, b"", 32, 33),
    (sample, b"", 32, 0),
    (sample_without_aad, b"", 32, 0),
    (sample, b"v0.0.1", 257, 8192),
    (sample, b"v0.0.1", 1, 1),
    (sample_without_aad, b"v0.0.1", 16, 0),
    (sample, b"v0.0.1", 32, 33, 16),
    (sample, b"", 32, 33, 16),
]

if __name__ == "__main__":
    vectors = [vector(number, *case) for number, case in enumerate(CASES)]
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"vectors": vectors}, indent=1) + "\n")
