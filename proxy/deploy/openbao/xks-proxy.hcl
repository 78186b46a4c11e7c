# What xks-proxy needs of OpenBao or HashiCorp Vault, for keys of the Transit secrets engine mounted at `transit`.
#
#   bao policy write xks-proxy xks-proxy.hcl
#
# `update` and never `create` on encrypt: with `create`, encrypting with a key that is missing would make one, and
# ciphertexts of the key that went missing would be lost without a sign. The proxy refuses a token that may create.

path "transit/encrypt/+" {
  capabilities = ["update"]
}

path "transit/decrypt/+" {
  capabilities = ["update"]
}

# The latest version, the type, and whether the key is soft-deleted.
path "transit/keys/+" {
  capabilities = ["read"]
}

# The token looks after itself. The policy `default` allows this, too; with it here, tokens need no `default`.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

# Lets the proxy see that its token may not create keys.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
