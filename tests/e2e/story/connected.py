"""Chapters up to the disconnect: stores and keys are made, and everything works."""

import time

from key_store import (
    BAD_CIPHERTEXT, CONTEXT, PLAINTEXT, SAME_CONTEXT, WRONG_CREDENTIAL,
    blob_of, connect, connection_state, create_key, disconnect, equal, error, given, kms, proxy_arguments, raises,
    store, story, true, works,
)


def create_stores():
    story.chapter("CreateCustomKeyStore")
    raises(error.XksProxyIncorrectAuthenticationCredentialException, "a credential that the proxy does not know",
           kms.create_custom_key_store, CustomKeyStoreName="wrong credential",
           **proxy_arguments(XksProxyAuthenticationCredential=WRONG_CREDENTIAL))
    raises(error.XksProxyInvalidConfigurationException, "a URI path that the proxy does not serve",
           kms.create_custom_key_store, CustomKeyStoreName="wrong path",
           **proxy_arguments(XksProxyUriPath="/nobody/here/kms/xks/v1"))
    raises(error.XksProxyUriUnreachableException, "a host where nobody listens",
           kms.create_custom_key_store, CustomKeyStoreName="nobody", **proxy_arguments("dead_uri_endpoint"))
    raises(error.CustomKeyStoreNotFoundException, "none of these left a store behind",
           kms.describe_custom_key_stores, CustomKeyStoreName="wrong path")

    answer = works("a store", kms.create_custom_key_store, CustomKeyStoreName="nile", **proxy_arguments())
    store_id = answer["CustomKeyStoreId"]
    equal("only the id is answered", list(answer), ["CustomKeyStoreId"])
    raises(error.CustomKeyStoreNameInUseException, "its name again", kms.create_custom_key_store,
           CustomKeyStoreName="nile", **proxy_arguments("other_proxy_uri_endpoint"))
    raises(error.XksProxyUriInUseException, "its endpoint and path again", kms.create_custom_key_store,
           CustomKeyStoreName="amazon", **proxy_arguments())

    found = store(store_id)
    true("a creation date", found.pop("CreationDate"))
    equal("DescribeCustomKeyStores shows all but the secret", found, {
        "CustomKeyStoreId": store_id,
        "CustomKeyStoreName": "nile",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "ConnectionState": "DISCONNECTED",
        "XksProxyConfiguration": {
            "Connectivity": "PUBLIC_ENDPOINT",
            "AccessKeyId": given["access_key_id"],
            "UriEndpoint": given["proxy_uri_endpoint"],
            "UriPath": given["proxy_uri_path"],
        },
    })
    for who, client in {
        "another account": story.client(access_key_id="999999999999"),
        "another Region": story.client(region="eu-west-1"),
    }.items():
        raises(client.exceptions.CustomKeyStoreNotFoundException, f"{who} does not see it",
               client.describe_custom_key_stores, CustomKeyStoreId=store_id)
    return store_id


def seed_call(store_id):
    story.chapter("disconnect_custom_key_store and the exceptions that it names")
    raises(error.CustomKeyStoreInvalidStateException, "of a store that was never connected",
           kms.disconnect_custom_key_store, CustomKeyStoreId=store_id)
    raises(error.CustomKeyStoreNotFoundException, "of a store that does not exist",
           kms.disconnect_custom_key_store, CustomKeyStoreId="cks-1234567890abcdef0")
    # A fault of the service itself, which no healthy one shows: its type is there to be caught.
    true("KMSInternalException is a type of the client", issubclass(error.KMSInternalException, Exception))
    raises(error.CustomKeyStoreInvalidStateException, "no key in a store that is not connected",
           kms.create_key, **create_key(store_id))

    works("ConnectCustomKeyStore", kms.connect_custom_key_store, CustomKeyStoreId=store_id)
    equal("CONNECTING is seen right after", connection_state(store_id), "CONNECTING")
    raises(error.CustomKeyStoreInvalidStateException, "no key while CONNECTING", kms.create_key, **create_key(store_id))
    raises(error.CustomKeyStoreInvalidStateException, "no DeleteCustomKeyStore while CONNECTING",
           kms.delete_custom_key_store, CustomKeyStoreId=store_id)
    response = kms.disconnect_custom_key_store(CustomKeyStoreId=store_id)
    metadata = response.pop("ResponseMetadata")
    equal("while CONNECTING: a JSON object with no properties", response, {})
    equal("with status 200", metadata["HTTPStatusCode"], 200)
    true("and a request id", metadata["RequestId"])
    equal("DISCONNECTING is seen right after", connection_state(store_id), "DISCONNECTING")
    raises(error.CustomKeyStoreInvalidStateException, "again while DISCONNECTING",
           kms.disconnect_custom_key_store, CustomKeyStoreId=store_id)
    raises(error.CustomKeyStoreInvalidStateException, "no ConnectCustomKeyStore while DISCONNECTING",
           kms.connect_custom_key_store, CustomKeyStoreId=store_id)
    seen = story.wait("then DISCONNECTED", lambda: connection_state(store_id), "DISCONNECTED")
    equal("and never CONNECTED", seen, ["DISCONNECTING"])
    time.sleep(1)
    equal("nor later, when the attempt's result has come in", connection_state(store_id), "DISCONNECTED")

    connect(store_id)
    works("ConnectCustomKeyStore when CONNECTED does nothing", kms.connect_custom_key_store, CustomKeyStoreId=store_id)
    equal("and stays CONNECTED", connection_state(store_id), "CONNECTED")


def create_keys(store_id):
    story.chapter("CreateKey")
    raises(error.XksKeyNotFoundException, "an external key that does not exist",
           kms.create_key, **create_key(store_id, "no-such-key"))
    for external_key_id, usage in {"encrypt-only": "ENCRYPT", "decrypt-only": "DECRYPT"}.items():
        raises(error.XksKeyInvalidConfigurationException, f"the external key {external_key_id}",
               kms.create_key, message="The key usage of the external key must include ENCRYPT and DECRYPT. "
               f"The key use of specified external key is {usage}.", **create_key(store_id, external_key_id))
    raises(error.CustomKeyStoreNotFoundException, "a store that does not exist",
           kms.create_key, **create_key("cks-1234567890abcdef0"))
    metadata = works("a key in the store", kms.create_key, Description="on the Nile", **create_key(store_id))["KeyMetadata"]
    key = metadata["Arn"]
    expected = {
        "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store_id, "KeyState": "Enabled", "Enabled": True,
        "XksKeyConfiguration": {"Id": given["external_key_id"]}, "KeyManager": "CUSTOMER", "MultiRegion": False,
        "KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "Description": "on the Nile", "AWSAccountId": "123456789012",
        "Arn": f"arn:aws:kms:{given['region']}:123456789012:key/{metadata['KeyId']}",
    }
    equal("its metadata", {name: metadata.get(name) for name in expected}, expected)
    true("no CurrentKeyMaterialId in it", "CurrentKeyMaterialId" not in metadata)
    raises(error.XksKeyAlreadyInUseException, "the same external key again", kms.create_key, **create_key(store_id))
    plain = works("a key of KMS's own", kms.create_key)["KeyMetadata"]
    equal("which is of Origin AWS_KMS", plain["Origin"], "AWS_KMS")
    return key, plain["Arn"]


def cryptography(key, plain):
    story.chapter("Encrypt, Decrypt, GenerateDataKey")
    blobs = {}
    for name, key_id in {"external": key, "KMS": plain}.items():
        answer = works(f"{name}: Encrypt", kms.encrypt, KeyId=key_id, Plaintext=PLAINTEXT, EncryptionContext=CONTEXT)
        blob = blobs[name] = answer["CiphertextBlob"]
        equal("answers the key's ARN", answer["KeyId"], key_id)
        true("a blob within 6,144 bytes, without the plaintext", len(blob) <= 6144 and PLAINTEXT not in blob)
        answer = works("Decrypt, the encryption context in another order", kms.decrypt, CiphertextBlob=blob,
                       EncryptionContext=SAME_CONTEXT)
        equal("gives the plaintext back", (answer["Plaintext"], answer["KeyId"]), (PLAINTEXT, key_id))
        refused = error.KMSInvalidStateException if name == "external" else error.InvalidCiphertextException
        raises(refused, "another encryption context", kms.decrypt, CiphertextBlob=blob,
               EncryptionContext=CONTEXT | {"project": "amazon"})
        raises(refused, "no encryption context", kms.decrypt, CiphertextBlob=blob)
        damaged = bytearray(blob)
        damaged[-1] ^= 1
        raises(refused, "a flipped bit", kms.decrypt, CiphertextBlob=bytes(damaged), EncryptionContext=CONTEXT)
        raises(error.DryRunOperationException, "DryRun", kms.encrypt, KeyId=key_id, Plaintext=b"x", DryRun=True)

        answer = works(f"{name}: 4,096 bytes", kms.encrypt, KeyId=key_id, Plaintext=b"n" * 4096)
        true("a blob within 6,144 bytes", len(answer["CiphertextBlob"]) <= 6144)
        equal("come back", works("Decrypt", kms.decrypt, **blob_of(answer))["Plaintext"], b"n" * 4096)
        answer = works(f"{name}: GenerateDataKey AES_256", kms.generate_data_key, KeyId=key_id, KeySpec="AES_256",
                       EncryptionContext=CONTEXT)
        equal("32 bytes", len(answer["Plaintext"]), 32)
        equal("decrypt to the same", works("Decrypt", kms.decrypt, EncryptionContext=SAME_CONTEXT,
                                           **blob_of(answer))["Plaintext"], answer["Plaintext"])
        answer = works(f"{name}: GenerateDataKeyWithoutPlaintext", kms.generate_data_key_without_plaintext,
                       KeyId=key_id, NumberOfBytes=64)
        true("no plaintext in it", "Plaintext" not in answer)
        equal("64 bytes", len(works("Decrypt", kms.decrypt, **blob_of(answer))["Plaintext"]), 64)
    raises(error.KMSInvalidStateException, "what the external key rejects says so", kms.decrypt,
           message=BAD_CIPHERTEXT, CiphertextBlob=blobs["external"])
    raises(error.IncorrectKeyException, "Decrypt with another key's id", kms.decrypt,
           CiphertextBlob=blobs["external"], EncryptionContext=CONTEXT, KeyId=plain)
    equal("GenerateRandom", len(works("GenerateRandom", kms.generate_random, NumberOfBytes=48)["Plaintext"]), 48)
    return blobs


def second_store(store_id):
    story.chapter("a second store: deleted while empty, made again, sharing the external key")
    name = {"CustomKeyStoreName": "amazon"}
    empty = works("a second store", kms.create_custom_key_store, **name,
                  **proxy_arguments("other_proxy_uri_endpoint"))["CustomKeyStoreId"]
    connect(empty)
    raises(error.CustomKeyStoreInvalidStateException, "DeleteCustomKeyStore while CONNECTED",
           kms.delete_custom_key_store, CustomKeyStoreId=empty)
    disconnect(empty)
    equal("DeleteCustomKeyStore answers {}", works("DeleteCustomKeyStore when empty and DISCONNECTED",
                                                   kms.delete_custom_key_store, CustomKeyStoreId=empty), {})
    raises(error.CustomKeyStoreNotFoundException, "then it is gone", kms.describe_custom_key_stores,
           CustomKeyStoreId=empty)
    second = works("its name and URI are free again", kms.create_custom_key_store, **name,
                   **proxy_arguments("other_proxy_uri_endpoint"))["CustomKeyStoreId"]
    true("under a new id", second not in (empty, store_id))
    connect(second)
    other = works("a key over the same external key", kms.create_key, **create_key(second))["KeyMetadata"]["Arn"]
    return second, other


def re_encrypt(keys, blobs, other):
    story.chapter("ReEncrypt in all four directions, and between two stores")
    ways = [(source, name, destination) for source in keys for name, destination in keys.items()]
    ways.append(("external", "another store's", other))
    for source, name, destination in ways:
        answer = works(f"{source} key to {name} key", kms.re_encrypt, CiphertextBlob=blobs[source],
                       SourceEncryptionContext=SAME_CONTEXT, DestinationKeyId=destination,
                       DestinationEncryptionContext={"moved": "yes"})
        equal("names both keys", (answer["SourceKeyId"], answer["KeyId"]), (keys[source], destination))
        equal("decrypts under the new context", works("Decrypt", kms.decrypt, EncryptionContext={"moved": "yes"},
                                                      **blob_of(answer))["Plaintext"], PLAINTEXT)
    foreign = works("the second store's key", kms.encrypt, KeyId=other, Plaintext=PLAINTEXT)
    raises(error.IncorrectKeyException, "one external key, two KMS keys: not interchangeable", kms.decrypt,
           KeyId=keys["external"], **blob_of(foreign))


def updates(store_id):
    story.chapter("UpdateCustomKeyStore while CONNECTED")
    works("a new name", kms.update_custom_key_store, CustomKeyStoreId=store_id, NewCustomKeyStoreName="white nile")
    equal("is shown", store(store_id)["CustomKeyStoreName"], "white nile")
    raises(error.CustomKeyStoreInvalidStateException, "another endpoint", kms.update_custom_key_store,
           CustomKeyStoreId=store_id, XksProxyUriEndpoint=given["dead_uri_endpoint"])
    raises(error.XksProxyIncorrectAuthenticationCredentialException, "a credential that the proxy does not know",
           kms.update_custom_key_store, CustomKeyStoreId=store_id, XksProxyAuthenticationCredential=WRONG_CREDENTIAL)
    equal("changes nothing", store(store_id)["XksProxyConfiguration"]["AccessKeyId"], given["access_key_id"])
    credential = proxy_arguments()["XksProxyAuthenticationCredential"]
    works("the right credential", kms.update_custom_key_store, CustomKeyStoreId=store_id,
          XksProxyAuthenticationCredential=credential)
    raises(error.CustomKeyStoreNotFoundException, "a store that does not exist", kms.update_custom_key_store,
           CustomKeyStoreId="cks-1234567890abcdef0", NewCustomKeyStoreName="x")


def paging(keys, stores):
    story.chapter("paging with boto3's paginators")
    more = [works(f"key {n}", kms.create_key)["KeyMetadata"]["Arn"] for n in range(9)]
    pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 5}))
    found = [key["KeyArn"] for page in pages for key in page["Keys"]]
    equal("ListKeys gives every key once", sorted(found), sorted(list(keys) + more))
    true("on pages of at most five", len(pages) > 1 and all(len(page["Keys"]) <= 5 for page in pages))
    pages = list(kms.get_paginator("describe_custom_key_stores").paginate(PaginationConfig={"PageSize": 1}))
    found = [one["CustomKeyStoreId"] for page in pages for one in page["CustomKeyStores"]]
    equal("DescribeCustomKeyStores gives every store once", sorted(found), sorted(stores))
    raises(error.InvalidMarkerException, "a marker that was never given out", kms.list_keys, Marker="nonsense")
    for number in range(3):
        works("CreateAlias", kms.create_alias, AliasName=f"alias/page-{number}", TargetKeyId=more[0])
    pages = kms.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 2}, KeyId=more[0])
    found = [alias["AliasName"] for page in pages for alias in page["Aliases"]]
    equal("ListAliases of a key", sorted(found), [f"alias/page-{number}" for number in range(3)])
    for number in range(3):
        works("DeleteAlias", kms.delete_alias, AliasName=f"alias/page-{number}")
