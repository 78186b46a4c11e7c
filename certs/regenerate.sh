#!/usr/bin/env bash
# Makes every file of this folder anew with openssl (3.0 or later). TEST ONLY: the keys are public by being here.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir issued
# openssl.cnf names the authority of each command by this variable, which must always be set.
export CA=none

kms_name=cks.kms.us-east-1.amazonaws.com
from=20260101000000Z
to=20460101000000Z

cat >openssl.cnf <<'CNF'
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = this
[this]
new_certs_dir    = issued
database         = $ENV::CA/index.txt
crlnumber        = $ENV::CA/crlnumber
certificate      = $ENV::CA.crt.pem
private_key      = $ENV::CA.key
rand_serial      = yes
unique_subject   = no
default_md       = sha256
policy           = any
default_crl_days = 7300
[any]
commonName       = supplied
[authority]
basicConstraints       = critical,CA:TRUE,pathlen:0
keyUsage               = critical,keyCertSign,cRLSign
subjectKeyIdentifier   = hash
[server]
basicConstraints       = critical,CA:FALSE
keyUsage               = critical,digitalSignature
extendedKeyUsage       = serverAuth
subjectAltName         = DNS:localhost,DNS:xks.test,IP:127.0.0.1
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints       = critical,CA:FALSE
keyUsage               = critical,digitalSignature
extendedKeyUsage       = clientAuth
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid
CNF

key() { # name [rsa]
    if [ "${2:-}" = rsa ]; then
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key" 2>/dev/null
    else
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
    fi
}

authority() { # name, subject
    mkdir "$1"
    : >"$1/index.txt"
    echo 01 >"$1/crlnumber"
    key "$1"
    openssl req -new -config openssl.cnf -key "$1.key" -subj "$2" -out "$1.csr"
    sign "$1" "$1" authority "$from" "$to" -selfsign
}

leaf() { # name, authority, kind, subject, from, to [rsa]
    key "$1" "${7:-}"
    openssl req -new -config openssl.cnf -key "$1.key" -subj "$4" -out "$1.csr"
    sign "$1" "$2" "$3" "$5" "$6"
}

sign() { # name, authority, kind, from, to [-selfsign]
    CA=$2 openssl ca -batch -notext -preserveDN -config openssl.cnf -extensions "$3" \
        -startdate "$4" -enddate "$5" ${6:+"$6"} -in "$1.csr" -out "$1.crt.pem" 2>errors ||
        { cat errors >&2; exit 1; }
}

authority root-ca "/CN=XKS test root CA"
leaf server-ecdsa root-ca server /CN=xks.test "$from" "$to"
leaf server-rsa root-ca server /CN=xks.test "$from" "$to" rsa

authority client-ca "/CN=XKS test client CA"
leaf client client-ca client "/CN=$kms_name" "$from" "$to"
leaf client-wrong-cn client-ca client /CN=cks.kms.us-east-1.example.com "$from" "$to"
leaf client-two-cns client-ca client "/CN=$kms_name/CN=cks.kms.us-east-1.example.com" "$from" "$to"
leaf client-expired client-ca client "/CN=$kms_name" 20200101000000Z 20210101000000Z
leaf client-not-yet-valid client-ca client "/CN=$kms_name" 20900101000000Z 20910101000000Z
leaf client-revoked client-ca client "/CN=$kms_name" "$from" "$to"
CA=client-ca openssl ca -config openssl.cnf -revoke client-revoked.crt.pem 2>/dev/null
CA=client-ca openssl ca -config openssl.cnf -gencrl -out client-ca.crl.pem 2>/dev/null

authority foreign-ca "/CN=XKS test foreign CA"
leaf client-foreign foreign-ca client "/CN=$kms_name" "$from" "$to"
leaf server-foreign foreign-ca server /CN=xks.test "$from" "$to"

for name in *.key; do
    {
        echo "TEST ONLY: this private key is published with the source code. Never use it to protect anything."
        cat "$name"
    } >"${name%.key}.test-key.pem"
done
rm -f "$here"/*.pem
cp ./*.crt.pem ./*.test-key.pem ./*.crl.pem "$here"
chmod 0644 "$here"/*.pem
echo "made $(find "$here" -name '*.pem' | wc -l) files in certs/; the README there names each"
