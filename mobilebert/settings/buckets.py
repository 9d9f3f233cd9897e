"""Names of Cloud Storage buckets, by Google's rules: https://cloud.google.com/storage/docs/buckets#naming."""

from __future__ import annotations

import re
from collections.abc import Iterator

SCHEME = "gs://"
_IP_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


def check_bucket(address: str) -> str:
    """The address, if it is none of Cloud Storage's, or its bucket can exist.

    Raises:
        ValueError: all that is wrong with the bucket's name, in one line.
    """
    if re.match(r"(?i)gs:", address) and not address.startswith(SCHEME):
        raise ValueError(f"write {SCHEME}BUCKET/PREFIX")
    if address.startswith(SCHEME):
        bucket = address.removeprefix(SCHEME).partition("/")[0]
        if not bucket:
            raise ValueError(f"names no bucket; write {SCHEME}BUCKET/PREFIX")
        if faults := list(_faults(bucket)):
            raise ValueError(f"no bucket can be called '{bucket}': {'; '.join(faults)}")
    return address


def _faults(bucket: str) -> Iterator[str]:
    odd = sorted(set(re.sub("[a-z0-9._-]", "", bucket)))
    if odd:
        yield f"a name holds a-z, 0-9, -, _ and . alone, not {' '.join(odd)}"
    if not {bucket[0], bucket[-1]}.isdisjoint("-_."):
        yield "a name begins and ends with a letter or digit"
    if not 3 <= len(bucket) <= (222 if "." in bucket else 63):
        yield f"a name has 3 to 63 characters (with dots up to 222), not {len(bucket)}"
    if not all(1 <= len(label) <= 63 for label in bucket.strip(".").split(".")) and "." in bucket:
        yield "between two dots stand 1 to 63 characters"
    if _IP_ADDRESS.fullmatch(bucket):
        yield "an IP address is no name"
    if bucket.startswith("goog") or re.search("g[o0][o0]gle", bucket):
        yield "a name neither begins with goog nor holds google"
