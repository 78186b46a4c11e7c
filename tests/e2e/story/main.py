"""An external key store's life as boto3 sees it: made, connected, used, disconnected, managed, reconnected.

Expected values are those of the KMS API's model, its developer guide and the XKS proxy API specification.
Run by story.rs; its one argument is a JSON object with the addresses.
"""

import connected
import disconnected
from key_store import story

nile = connected.create_stores()
connected.seed_call(nile)
key, plain = connected.create_keys(nile)
blobs = connected.cryptography(key, plain)
amazon, other = connected.second_store(nile)
connected.re_encrypt({"external": key, "KMS": plain}, blobs, other)
connected.updates(nile)
connected.paging([key, plain, other], [nile, amazon])

# Only the first store may be heard at the byte counter from here on.
disconnected.disconnect(amazon)
disconnected.silence(nile, key, plain, blobs)
disconnected.management(nile, key, plain, blobs)
disconnected.reconnect(nile, key, blobs)
disconnected.dead_proxy(nile, key, blobs)
disconnected.failed(nile, key)
disconnected.connect(amazon)
disconnected.end((nile, amazon))
story.end()
