"""Publishing: plan, upload what differs, `release.json` last, read back, receipt (docs/cloud.md).

A published version lies at `DESTINATION/NAME/VERSION/` and is immutable: `README.md` (the model card), one
folder a format, and `release.json`, without which the version counts as unfinished.
"""
