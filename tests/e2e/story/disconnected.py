"""Chapters from the disconnect on: what fails, what still works, silence at the proxy, reconnecting, and a dead proxy."""

import json
import time

from key_store import (
    CONTEXT, NO_COMMUNICATION, NOT_CONNECTED, PLAINTEXT, SAME_CONTEXT, TOO_LATE,
    blob_of, connect, connection_state, create_key, disconnect, equal, error, given, key_state, kms, proxy_arguments,
    raises, store, story, true, works,
)


def failing_calls(store_id, key, plain, blobs):
    """Everything that must fail while the store is DISCONNECTED."""
    external = {"CiphertextBlob": blobs["external"], "EncryptionContext": CONTEXT}
    crypto = {
        "Encrypt": (kms.encrypt, {"KeyId": key, "Plaintext": PLAINTEXT}),
        "Decrypt": (kms.decrypt, external),
        "Decrypt with KeyId": (kms.decrypt, external | {"KeyId": key}),
        "GenerateDataKey": (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
        "GenerateDataKeyWithoutPlaintext": (kms.generate_data_key_without_plaintext, {"KeyId": key, "KeySpec": "AES_128"}),
        "ReEncrypt from it": (kms.re_encrypt, {
            "CiphertextBlob": blobs["external"], "SourceEncryptionContext": CONTEXT, "DestinationKeyId": plain}),
        "ReEncrypt to it": (kms.re_encrypt, {
            "CiphertextBlob": blobs["KMS"], "SourceEncryptionContext": CONTEXT, "DestinationKeyId": key}),
    }
    for name, (call, arguments) in crypto.items():
        raises(error.KMSInvalidStateException, name, call, message=NOT_CONNECTED, **arguments)
    raises(error.CustomKeyStoreInvalidStateException, "CreateKey", kms.create_key, **create_key(store_id, "another"))
    raises(error.CustomKeyStoreInvalidStateException, "DisconnectCustomKeyStore again",
           kms.disconnect_custom_key_store, CustomKeyStoreId=store_id)


def silence(store_id, key, plain, blobs):
    story.chapter("disconnected: what fails, and not one byte reaches the proxy")
    works("a call just before", kms.encrypt, KeyId=key, Plaintext=PLAINTEXT)
    before = story.ask("counts")
    true("it went through the byte counter", before["connections"] > 0 and before["to_proxy"] > 0 and before["to_kms"] > 0)
    works("DisconnectCustomKeyStore", kms.disconnect_custom_key_store, CustomKeyStoreId=store_id)
    raises(error.KMSInvalidStateException, "Encrypt right after the answer, still DISCONNECTING", kms.encrypt,
           message=NOT_CONNECTED, KeyId=key, Plaintext=PLAINTEXT)
    equal("the key is Unavailable already", key_state(key), "Unavailable")
    seen = story.wait("the store becomes DISCONNECTED", lambda: connection_state(store_id), "DISCONNECTED")
    equal("on the way it was DISCONNECTING", seen, ["DISCONNECTING"])

    silent = story.ask("counts")
    equal("no connection is open", silent["open"], 0)
    until = time.monotonic() + 3
    failing_calls(store_id, key, plain, blobs)
    while time.monotonic() < until:
        try:
            kms.encrypt(KeyId=key, Plaintext=PLAINTEXT)
        except error.KMSInvalidStateException:
            time.sleep(0.05)
        else:
            equal("Encrypt while DISCONNECTED", "success", "KMSInvalidStateException")
    equal("after 3 seconds of failing calls: the same counts", story.ask("counts"), silent)
    metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
    equal("the key is Unavailable and not Enabled", (metadata["KeyState"], metadata["Enabled"]), ("Unavailable", False))


def management(store_id, key, plain, blobs):
    story.chapter("disconnected: what still works")
    silent = story.ask("counts")
    found = {one["KeyArn"] for page in kms.get_paginator("list_keys").paginate() for one in page["Keys"]}
    true("ListKeys lists the key", key in found)
    works("CreateAlias", kms.create_alias, AliasName="alias/nile", TargetKeyId=key)
    works("UpdateAlias", kms.update_alias, AliasName="alias/nile", TargetKeyId=key)
    equal("DescribeKey by alias", key_state("alias/nile"), "Unavailable")
    aliases = works("ListAliases", kms.list_aliases, KeyId=key)["Aliases"]
    equal("has it", [alias["AliasName"] for alias in aliases], ["alias/nile"])
    works("DeleteAlias", kms.delete_alias, AliasName="alias/nile")
    works("TagResource", kms.tag_resource, KeyId=key, Tags=[
        {"TagKey": "river", "TagValue": "Nile"}, {"TagKey": "sea", "TagValue": "Mediterranean"}])
    works("UntagResource", kms.untag_resource, KeyId=key, TagKeys=["sea"])
    equal("ListResourceTags", works("ListResourceTags", kms.list_resource_tags, KeyId=key)["Tags"],
          [{"TagKey": "river", "TagValue": "Nile"}])
    works("UpdateKeyDescription", kms.update_key_description, KeyId=key, Description="while away")
    equal("is shown", kms.describe_key(KeyId=key)["KeyMetadata"]["Description"], "while away")
    policy = json.loads(works("GetKeyPolicy", kms.get_key_policy, KeyId=key, PolicyName="default")["Policy"])
    true("a policy with statements", policy["Statement"])
    policy["Statement"][0]["Sid"] = "Set while disconnected"
    works("PutKeyPolicy", kms.put_key_policy, KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    equal("is stored", json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]), policy)
    equal("ListKeyPolicies", works("ListKeyPolicies", kms.list_key_policies, KeyId=key)["PolicyNames"], ["default"])
    for name, call in {
        "EnableKeyRotation": kms.enable_key_rotation, "DisableKeyRotation": kms.disable_key_rotation,
        "GetKeyRotationStatus": kms.get_key_rotation_status,
    }.items():
        raises(error.UnsupportedOperationException, f"{name}, as in every state", call, KeyId=key)
    raises(error.UnsupportedOperationException, "GenerateRandom from an external key store, as in every state",
           kms.generate_random, NumberOfBytes=8, CustomKeyStoreId=store_id)

    deletion = works("ScheduleKeyDeletion", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    equal("PendingDeletion shows through", (deletion["KeyState"], key_state(key)), ("PendingDeletion",) * 2)
    raises(error.CustomKeyStoreHasCMKsException, "DeleteCustomKeyStore: the key counts until it is gone",
           kms.delete_custom_key_store, CustomKeyStoreId=store_id)
    works("CancelKeyDeletion", kms.cancel_key_deletion, KeyId=key)
    equal("is Unavailable again", key_state(key), "Unavailable")
    raises(error.CustomKeyStoreHasCMKsException, "DeleteCustomKeyStore with a key in it",
           kms.delete_custom_key_store, CustomKeyStoreId=store_id)
    works("UpdateCustomKeyStore of the name", kms.update_custom_key_store, CustomKeyStoreId=store_id,
          NewCustomKeyStoreName="blue nile")

    works("EnableKey", kms.enable_key, KeyId=key)
    works("DisableKey", kms.disable_key, KeyId=key)
    equal("the key still reads Unavailable", key_state(key), "Unavailable")
    raises(error.KMSInvalidStateException, "and fails as such", kms.encrypt, message=NOT_CONNECTED,
           KeyId=key, Plaintext=PLAINTEXT)
    equal("a key outside the store is untouched", works("Decrypt", kms.decrypt, CiphertextBlob=blobs["KMS"],
                                                        EncryptionContext=CONTEXT)["Plaintext"], PLAINTEXT)
    equal("all of this without a byte to the proxy", story.ask("counts"), silent)
    raises(error.XksProxyUriUnreachableException, "UpdateCustomKeyStore to a host where nobody listens",
           kms.update_custom_key_store, CustomKeyStoreId=store_id, XksProxyUriEndpoint=given["dead_uri_endpoint"])
    equal("changes nothing", store(store_id)["XksProxyConfiguration"]["UriEndpoint"], given["proxy_uri_endpoint"])


def reconnect(store_id, key, blobs):
    story.chapter("reconnected")
    connect(store_id)
    equal("the disabling of before shows now", key_state(key), "Disabled")
    raises(error.DisabledException, "Encrypt", kms.encrypt, message=f"{key} is disabled.", KeyId=key, Plaintext=PLAINTEXT)
    works("EnableKey", kms.enable_key, KeyId=key)
    equal("the key is Enabled", key_state(key), "Enabled")
    answer = works("Decrypt of a ciphertext of before the disconnect", kms.decrypt, CiphertextBlob=blobs["external"],
                   EncryptionContext=SAME_CONTEXT)
    equal("gives the plaintext back", answer["Plaintext"], PLAINTEXT)

    works("DisableKey again", kms.disable_key, KeyId=key)
    disconnect(store_id)
    works("EnableKey while Unavailable", kms.enable_key, KeyId=key)
    equal("still reads Unavailable", key_state(key), "Unavailable")
    connect(store_id)
    equal("and is Enabled after the reconnect", key_state(key), "Enabled")


def dead_proxy(store_id, key, blobs):
    story.chapter("a dead proxy is not a disconnect")
    works("Encrypt", kms.encrypt, KeyId=key, Plaintext=PLAINTEXT)
    story.ask("kill-proxy")
    raises(error.KMSInvalidStateException, "proxy killed: Encrypt", kms.encrypt, message=NO_COMMUNICATION,
           KeyId=key, Plaintext=PLAINTEXT)
    raises(error.KMSInvalidStateException, "Decrypt", kms.decrypt, message=NO_COMMUNICATION,
           CiphertextBlob=blobs["external"], EncryptionContext=CONTEXT)
    raises(error.CustomKeyStoreInvalidStateException, "CreateKey", kms.create_key, **create_key(store_id, "encrypt-only"))
    equal("the store stays CONNECTED", connection_state(store_id), "CONNECTED")
    equal("the key stays Enabled", key_state(key), "Enabled")
    story.ask("restart-proxy")
    answer = works("proxy back: Decrypt, without a reconnect", kms.decrypt, CiphertextBlob=blobs["external"],
                   EncryptionContext=CONTEXT)
    equal("gives the plaintext back", answer["Plaintext"], PLAINTEXT)

    story.ask("stall")
    start = time.monotonic()
    raises(error.KMSInvalidStateException, "a proxy that does not answer: Encrypt", kms.encrypt, message=TOO_LATE,
           KeyId=key, Plaintext=PLAINTEXT)
    true("two attempts of 250 ms", time.monotonic() - start > 0.45)
    story.ask("resume")
    works("it answers again: Encrypt", kms.encrypt, KeyId=key, Plaintext=PLAINTEXT)


def failed(store_id, key):
    story.chapter("FAILED")
    disconnect(store_id)
    story.ask("kill-proxy")
    works("ConnectCustomKeyStore is accepted", kms.connect_custom_key_store, CustomKeyStoreId=store_id)
    story.wait("the store becomes FAILED", lambda: connection_state(store_id), "FAILED")
    equal("its ConnectionErrorCode", store(store_id)["ConnectionErrorCode"], "XKS_PROXY_NOT_REACHABLE")
    equal("the key is Unavailable", key_state(key), "Unavailable")
    for name, call in {"Connect": kms.connect_custom_key_store, "Delete": kms.delete_custom_key_store}.items():
        raises(error.CustomKeyStoreInvalidStateException, f"{name}CustomKeyStore", call, CustomKeyStoreId=store_id)
    disconnect(store_id)
    true("no ConnectionErrorCode any more", "ConnectionErrorCode" not in store(store_id))
    story.ask("restart-proxy")
    connect(store_id)
    equal("the key is Enabled", key_state(key), "Enabled")


def end(stores):
    story.chapter("a store with a key stays")
    store_id, second = stores
    disconnect(second)
    raises(error.CustomKeyStoreHasCMKsException, "DeleteCustomKeyStore of a store with a key",
           kms.delete_custom_key_store, CustomKeyStoreId=second)
    equal("the first store is CONNECTED all along", connection_state(store_id), "CONNECTED")
    credential = proxy_arguments()["XksProxyAuthenticationCredential"]
    works("DISCONNECTED, the credential can be updated", kms.update_custom_key_store, CustomKeyStoreId=second,
          XksProxyAuthenticationCredential=credential)
    shown = repr(kms.describe_custom_key_stores())
    true("no answer shows the secret", given["secret_access_key"] not in shown and given["access_key_id"] in shown)
