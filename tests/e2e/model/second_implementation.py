"""Signatures, ciphertexts, MACs, secrets and imported keys: kms-sim and Python's cryptography, in both directions.

Run by model.rs with kms-sim's address.
"""

import hashlib
import hmac as mac
import os
import sys

import boto3
from botocore.config import Config
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, utils
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

kms = boto3.client(
    "kms", endpoint_url=f"http://{sys.argv[1]}", region_name="us-east-1", aws_access_key_id="111122223333",
    aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}),
)
MESSAGE, SECRET = b"A message that everyone may read.", b"What nobody else may read."
HASHES = {"SHA_1": hashes.SHA1(), "SHA_256": hashes.SHA256(), "SHA_384": hashes.SHA384(), "SHA_512": hashes.SHA512()}
CURVES = {
    "ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1(),
    "ECC_SECG_P256K1": ec.SECP256K1(),
}
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"FAIL  {what}")


def create(spec, usage, origin="AWS_KMS"):
    return kms.create_key(KeySpec=spec, KeyUsage=usage, Origin=origin)["KeyMetadata"]


def public_key(key_id):
    return serialization.load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])


def hash_of(algorithm):
    return HASHES[f"SHA_{algorithm.rsplit('_', 1)[1]}"]


def verify(public, algorithm, signature, message):
    """Whether cryptography says that it is a signature."""
    try:
        if algorithm.startswith("RSASSA_PSS"):
            pss = padding.PSS(padding.MGF1(hash_of(algorithm)), salt_length=padding.PSS.DIGEST_LENGTH)
            public.verify(signature, message, pss, hash_of(algorithm))
        elif algorithm.startswith("RSASSA_PKCS1"):
            public.verify(signature, message, padding.PKCS1v15(), hash_of(algorithm))
        elif algorithm.startswith("ECDSA"):
            public.verify(signature, message, ec.ECDSA(hash_of(algorithm)))
        else:
            public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sign(private, algorithm, message):
    if algorithm.startswith("RSASSA_PSS"):
        pss = padding.PSS(padding.MGF1(hash_of(algorithm)), salt_length=padding.PSS.DIGEST_LENGTH)
        return private.sign(message, pss, hash_of(algorithm))
    if algorithm.startswith("RSASSA_PKCS1"):
        return private.sign(message, padding.PKCS1v15(), hash_of(algorithm))
    if algorithm.startswith("ECDSA"):
        return private.sign(message, ec.ECDSA(hash_of(algorithm)))
    return private.sign(message)


def signatures(key, private=None):
    """Every algorithm of a key, RAW and, where there is one, as a digest; with the private key, in both directions."""
    key_id, public = key["KeyId"], public_key(key["KeyId"])
    for algorithm in key["SigningAlgorithms"]:
        what = f"{key['KeySpec']} {algorithm}"
        request = {"KeyId": key_id, "SigningAlgorithm": algorithm}
        if algorithm == "ED25519_PH_SHA_512":  # which cryptography has not
            continue
        signature = kms.sign(**request, Message=MESSAGE)["Signature"]
        check(verify(public, algorithm, signature, MESSAGE), f"{what} of a message")
        check(not verify(public, algorithm, signature, MESSAGE + b"!"), f"{what} of another message")
        if algorithm.startswith(("RSASSA", "ECDSA")):
            digest = hashes.Hash(hash_of(algorithm))
            digest.update(MESSAGE)
            signature = kms.sign(**request, Message=digest.finalize(), MessageType="DIGEST")["Signature"]
            check(verify(public, algorithm, signature, MESSAGE), f"{what} of a digest")
        if algorithm == "ML_DSA_SHAKE_256":
            hashed = hashlib.shake_256(public.public_bytes_raw()).digest(64)
            mu = hashlib.shake_256(hashed + b"\0\0" + MESSAGE).digest(64)
            signature = kms.sign(**request, Message=mu, MessageType="EXTERNAL_MU")["Signature"]
            check(verify(public, algorithm, signature, MESSAGE), f"{what} of μ")
        if private is None:
            continue
        theirs = sign(private, algorithm, MESSAGE)
        check(kms.verify(**request, Message=MESSAGE, Signature=theirs)["SignatureValid"], f"{what} by cryptography")
        if algorithm.startswith("ECDSA"):
            r, s = utils.decode_dss_signature(theirs)
            other = utils.encode_dss_signature(r, CURVES[key["KeySpec"]].group_order - s)
            check(kms.verify(**request, Message=MESSAGE, Signature=other)["SignatureValid"], f"{what} with the other s")
        try:
            kms.verify(**request, Message=MESSAGE + b"!", Signature=theirs)
            check(False, f"{what} by cryptography of another message")
        except kms.exceptions.KMSInvalidSignatureException:
            check(True, what)


def encryption(key, private=None):
    public = public_key(key["KeyId"])
    for algorithm in key["EncryptionAlgorithms"]:
        what, hash_ = f"{key['KeySpec']} {algorithm}", hash_of(algorithm)
        oaep = padding.OAEP(padding.MGF1(hash_), hash_, None)
        theirs = public.encrypt(SECRET, oaep)
        request = {"KeyId": key["KeyId"], "EncryptionAlgorithm": algorithm}
        check(kms.decrypt(**request, CiphertextBlob=theirs)["Plaintext"] == SECRET, f"{what} by cryptography")
        if private is not None:
            ours = kms.encrypt(**request, Plaintext=SECRET)["CiphertextBlob"]
            check(private.decrypt(ours, oaep) == SECRET, f"{what} by kms-sim")


def agreement(key):
    peer = ec.generate_private_key(CURVES[key["KeySpec"]])
    theirs = peer.exchange(ec.ECDH(), public_key(key["KeyId"]))
    spki = peer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ours = kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=spki)
    check(ours["SharedSecret"] == theirs, f"{key['KeySpec']} ECDH")
    check(ours["KeyOrigin"] == key["Origin"], f"{key['KeySpec']} KeyOrigin")


def encapsulation(key, private=None):
    theirs, ciphertext = public_key(key["KeyId"]).encapsulate()
    request = {"KeyId": key["KeyId"], "EncapsulationAlgorithm": "ML_KEM"}
    ours = kms.decapsulate(**request, SharedSecretCiphertextBlob=ciphertext)["SharedSecret"]
    check(ours == theirs, f"{key['KeySpec']} by cryptography")
    if private is not None:
        made = kms.encapsulate(**request)
        secret = private.decapsulate(made["SharedSecretCiphertextBlob"])
        check(secret == made["SharedSecret"], f"{key['KeySpec']} by kms-sim")


def macs(key, secret):
    algorithm = key["MacAlgorithms"][0]
    theirs = mac.digest(secret, MESSAGE, f"sha{algorithm.rsplit('_', 1)[1]}")
    request = {"KeyId": key["KeyId"], "MacAlgorithm": algorithm, "Message": MESSAGE}
    check(kms.generate_mac(**request)["Mac"] == theirs, algorithm)
    check(kms.verify_mac(**request, Mac=theirs)["MacValid"], algorithm)


def imported(spec, usage, material, algorithm="RSA_AES_KEY_WRAP_SHA_256", wrapping_spec="RSA_2048"):
    """A key with that material, wrapped by cryptography."""
    key_id = create(spec, usage, "EXTERNAL")["KeyId"]
    parameters = kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping_spec
    )
    wrapping_key = serialization.load_der_public_key(parameters["PublicKey"])
    check(wrapping_key.key_size == int(wrapping_spec[4:]), f"the size of a wrapping key {wrapping_spec}")
    oaep = padding.OAEP(padding.MGF1(hash_of(algorithm)), hash_of(algorithm), None)
    if algorithm.startswith("RSA_AES"):
        aes_key = os.urandom(32)
        wrapped = wrapping_key.encrypt(aes_key, oaep) + aes_key_wrap_with_padding(aes_key, material)
    else:
        wrapped = wrapping_key.encrypt(material, oaep)
    kms.import_key_material(
        KeyId=key_id, ImportToken=parameters["ImportToken"], EncryptedKeyMaterial=wrapped,
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    key = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    check((key["KeyState"], key["Origin"]) == ("Enabled", "EXTERNAL"), f"the state of an imported {spec}")
    return key


def pkcs8(private):
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


# Keys that kms-sim made.
for spec in ("RSA_2048", *CURVES, "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87"):
    signatures(create(spec, "SIGN_VERIFY"))
encryption(create("RSA_3072", "ENCRYPT_DECRYPT"))
for spec in ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"):
    agreement(create(spec, "KEY_AGREEMENT"))
for spec in ("ML_KEM_768", "ML_KEM_1024"):
    encapsulation(create(spec, "ENCAPSULATE_DECAPSULATE"))

# Keys that cryptography made, imported under every algorithm.
private = rsa.generate_private_key(65537, 2048)
signatures(imported("RSA_2048", "SIGN_VERIFY", pkcs8(private), "RSA_AES_KEY_WRAP_SHA_1"), private)
encryption(imported("RSA_2048", "ENCRYPT_DECRYPT", pkcs8(private), wrapping_spec="RSA_4096"), private)
for spec, curve in CURVES.items():
    private = ec.generate_private_key(curve)
    signatures(imported(spec, "SIGN_VERIFY", pkcs8(private), "RSAES_OAEP_SHA_256", "RSA_3072"), private)
agreement(imported("ECC_NIST_P384", "KEY_AGREEMENT", pkcs8(ec.generate_private_key(CURVES["ECC_NIST_P384"]))))
private = ed25519.Ed25519PrivateKey.generate()
signatures(imported("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", pkcs8(private), "RSAES_OAEP_SHA_1"), private)
private = mldsa.MLDSA65PrivateKey.generate()
signatures(imported("ML_DSA_65", "SIGN_VERIFY", pkcs8(private)), private)
private = mlkem.MLKEM768PrivateKey.generate()
encapsulation(imported("ML_KEM_768", "ENCAPSULATE_DECAPSULATE", pkcs8(private)), private)
for spec, length in {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}.items():
    secret = os.urandom(length)
    macs(imported(spec, "GENERATE_VERIFY_MAC", secret, "RSAES_OAEP_SHA_256"), secret)
for algorithm in ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_256"):
    key_id = imported("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", os.urandom(32), algorithm)["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=SECRET)["CiphertextBlob"]
    check(kms.decrypt(CiphertextBlob=blob)["Plaintext"] == SECRET, "an imported symmetric key")

# Data key pairs are pairs.
key_id = kms.create_key()["KeyMetadata"]["KeyId"]
for spec in ("RSA_2048", *CURVES, "ECC_NIST_EDWARDS25519", "ML_KEM_768", "ML_KEM_1024"):
    pair = kms.generate_data_key_pair(KeyId=key_id, KeyPairSpec=spec)
    private = serialization.load_der_private_key(pair["PrivateKeyPlaintext"], None)
    spki = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    check(spki == pair["PublicKey"], f"a data key pair of {spec}")
    opened = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
    check(opened == pair["PrivateKeyPlaintext"], f"the private key of a pair of {spec}")

print(f"{checks} checks")
