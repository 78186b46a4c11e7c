#!/usr/bin/env python3
"""Writes fixed_keys.json: HMAC keys and key pairs of KMS's key specs, and what a second implementation makes with them.

Needs the PyPI package `cryptography`. Keys and signatures are random, so each run gives another file; any of them is as good.
"""

import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, utils

MESSAGE = b"A message that everyone may read."
SECRET = b"What nobody else may read."

HASHES = {"SHA_256": hashes.SHA256(), "SHA_384": hashes.SHA384(), "SHA_512": hashes.SHA512()}
CURVES = {
    "ECC_NIST_P256": (ec.SECP256R1(), "SHA_256"),
    "ECC_NIST_P384": (ec.SECP384R1(), "SHA_384"),
    "ECC_NIST_P521": (ec.SECP521R1(), "SHA_512"),
    "ECC_SECG_P256K1": (ec.SECP256K1(), "SHA_256"),
}


def der(key) -> dict:
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"secret": private.hex(), "public_key": public.hex()}


def rsa_key(bits: int) -> dict:
    key = rsa.generate_private_key(65537, bits)
    vector = der(key) | {"signatures": {}, "ciphertexts": {}}
    for name, algorithm in HASHES.items():
        pss = padding.PSS(padding.MGF1(algorithm), salt_length=padding.PSS.DIGEST_LENGTH)
        vector["signatures"][f"RSASSA_PSS_{name}"] = key.sign(MESSAGE, pss, algorithm).hex()
        vector["signatures"][f"RSASSA_PKCS1_V1_5_{name}"] = key.sign(MESSAGE, padding.PKCS1v15(), algorithm).hex()
    for name, algorithm in {"SHA_1": hashes.SHA1(), "SHA_256": hashes.SHA256()}.items():
        oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
        vector["ciphertexts"][f"RSAES_OAEP_{name}"] = key.public_key().encrypt(SECRET, oaep).hex()
    return vector


def curve_key(spec: str) -> dict:
    curve, name = CURVES[spec]
    key = ec.generate_private_key(curve)
    first = key.sign(MESSAGE, ec.ECDSA(HASHES[name]))
    # Both of the values of s that a signature can have.
    r, s = utils.decode_dss_signature(first)
    other = utils.encode_dss_signature(r, curve.group_order - s)
    peer = ec.generate_private_key(curve)
    return der(key) | {
        "signatures": {f"ECDSA_{name}": first.hex()},
        "other_signatures": {f"ECDSA_{name}": other.hex()},
        "peer": der(peer)["public_key"],
        "shared_secret": peer.exchange(ec.ECDH(), key.public_key()).hex(),
    }


def edwards_key() -> dict:
    key = ed25519.Ed25519PrivateKey.generate()
    return der(key) | {"signatures": {"ED25519_SHA_512": key.sign(MESSAGE).hex()}}


def ml_dsa_key(kind) -> dict:
    key = kind.generate()
    # FIPS 204, algorithm 2: SHAKE256(SHAKE256(pk, 64) || 00 || length of no context || message, 64)
    hashed = hashlib.shake_256(key.public_key().public_bytes_raw()).digest(64)
    mu = hashlib.shake_256(hashed + b"\0\0" + MESSAGE).digest(64)
    return der(key) | {"signatures": {"ML_DSA_SHAKE_256": key.sign(MESSAGE).hex()}, "mu": mu.hex()}


def ml_kem_key(kind) -> dict:
    key = kind.generate()
    secret, ciphertext = key.public_key().encapsulate()
    return der(key) | {"shared_secret": secret.hex(), "ciphertext": ciphertext.hex()}


def hmac_key(name: str, algorithm) -> dict:
    secret = hashlib.shake_256(name.encode()).digest(algorithm.digest_size)
    mac = hmac.HMAC(secret, algorithm)
    mac.update(MESSAGE)
    return {"secret": secret.hex(), "macs": {f"HMAC_SHA_{name}": mac.finalize().hex()}}


if __name__ == "__main__":
    vectors = {f"RSA_{bits}": rsa_key(bits) for bits in (2048, 3072, 4096)}
    vectors |= {spec: curve_key(spec) for spec in CURVES}
    vectors["ECC_NIST_EDWARDS25519"] = edwards_key()
    for level, kind in {44: mldsa.MLDSA44PrivateKey, 65: mldsa.MLDSA65PrivateKey, 87: mldsa.MLDSA87PrivateKey}.items():
        vectors[f"ML_DSA_{level}"] = ml_dsa_key(kind)
    for level, kind in {768: mlkem.MLKEM768PrivateKey, 1024: mlkem.MLKEM1024PrivateKey}.items():
        vectors[f"ML_KEM_{level}"] = ml_kem_key(kind)
    for name, algorithm in {"224": hashes.SHA224(), "256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.items():
        vectors[f"HMAC_{name}"] = hmac_key(name, algorithm)
    document = {"message": MESSAGE.hex(), "plaintext": SECRET.hex(), "keys": vectors}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
