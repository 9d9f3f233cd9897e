"""Where is published to."""

from __future__ import annotations

from mobilebert.errors import UserError
from mobilebert.storage.objects import Storage


def open_storage(to: str) -> Storage:
    """The storage that `publish.to` names: `gs://bucket/prefix`, or a folder."""
    if to.startswith("gs://"):
        from mobilebert.storage.bucket import BucketStorage  # the client takes a second to import

        return BucketStorage(to, needs="storage.objects.create, get and list")
    if "://" in to:
        raise UserError(
            f"publish.to: '{to}' is neither a folder nor gs://bucket/prefix, and nothing else is served"
        )
    from mobilebert.storage.folder import FolderStorage

    return FolderStorage(to)
