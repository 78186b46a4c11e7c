#!/usr/bin/env python3
"""Writes embedded_cipher.json: the message format of the embedded key manager by a second implementation.

Needs the PyPI package `cryptography`. The output depends on nothing but this file: run it again and compare.
"""

import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import CounterLocation, KBKDFHMAC, Mode

LABEL = b"xks-proxy embedded format 1"


def some_bytes(name: str, length: int) -> bytes:
    """Bytes without structure that anyone can make again."""
    return hashlib.shake_256(name.encode()).digest(length)


def vector(number: int, key_version: int, plaintext_len: int, aad_len: int) -> dict:
    material = some_bytes(f"material {number}", 32)
    salt = some_bytes(f"salt {number}", 16)
    iv = some_bytes(f"iv {number}", 12)
    plaintext = some_bytes(f"plaintext {number}", plaintext_len)
    aad = some_bytes(f"aad {number}", aad_len)
    metadata = b"\x01" + key_version.to_bytes(3, "big") + salt
    message_key = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=32,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=LABEL,
        context=salt,
        fixed=None,
    ).derive(material)
    framed = len(aad).to_bytes(2, "big") + aad + len(metadata).to_bytes(1, "big") + metadata
    sealed = AESGCM(message_key).encrypt(iv, plaintext, framed)
    fields = {
        "key_material": material,
        "salt": salt,
        "iv": iv,
        "plaintext": plaintext,
        "aad": aad,
        "metadata": metadata,
        "ciphertext": sealed[:-16],
        "tag": sealed[-16:],
    }
    return {"key_version": key_version} | {name: value.hex() for name, value in fields.items()}


CASES = [
    (1, 0, 0),
    (1, 1, 0),
    (1, 32, 0),
    (1, 32, 33),
    (2, 32, 1),
    (258, 15, 100),
    (0xFFFFFF, 16, 100),
    (1, 257, 8192),
    (3, 4300, 20),
]

if __name__ == "__main__":
    vectors = [vector(number, *case) for number, case in enumerate(CASES)]
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"vectors": vectors}, indent=1) + "\n")
