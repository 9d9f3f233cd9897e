"""What can go wrong with Cloud Storage, said so that a person can mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from mobilebert.errors import CorruptedError, PassingError, UserError

try:
    from google.cloud.storage.exceptions import DataCorruption
except ImportError:  # 2.x
    from google.resumable_media import DataCorruption


@contextmanager
def readable(place: str, *, check: str, needs: str, kept: str) -> Iterator[None]:
    """Turn the client's errors into a line; it has retried what is worth retrying.

    Args:
        place: what is being worked on.
        check: what to look at when it is not there.
        needs: permissions that the account must have.
        kept: what of the work done so far is not lost.
    """
    try:
        yield
    except exceptions.NotFound as error:
        raise UserError(f"{place}: not there ({error.message}); check {check}, and that the bucket exists") from None
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise UserError(f"{place}: not allowed ({error.message}); the account needs {needs}") from None
    except GoogleAuthError as error:
        raise UserError(f"{place}: no credentials ({error}); run `gcloud auth application-default login`") from None
    except DataCorruption as error:
        raise CorruptedError(f"{place}: its bytes do not match their CRC32C ({str(error).splitlines()[0]}); run again") from None
    except (exceptions.GoogleAPIError, requests.RequestException, ConnectionError) as error:
        raise PassingError(f"{place}: Cloud Storage did not answer as it should ({error}); {kept}, run again") from None
