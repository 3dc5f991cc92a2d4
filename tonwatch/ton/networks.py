"""The networks known by name, identified by the root hash of their zerostate.

Source: `validator.zero_state.root_hash` of the networks' global.config.json.
"""

from typing import Final

ZEROSTATES: Final = {
    "mainnet": bytes.fromhex("17a3a92992aabea785a7a090985a265cd31f323d849da51239737e321fb05569"),
    "testnet": bytes.fromhex("823f81f306ff02694f935cf5021548e3ce2b86b529812af6a12148879e95a128"),
}


def network_name(zerostate: bytes) -> str:
    """The network's name, or the hash in hex where it has none."""
    for name, root_hash in ZEROSTATES.items():
        if root_hash == zerostate:
            return name
    return zerostate.hex()
